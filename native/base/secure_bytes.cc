#include "base/secure_bytes.h"

#include <cstring>
#include <utility>

#if defined(_WIN32)
#include "base/windows_api.h"
#endif

namespace stc {

void Wipe(void* data, size_t size) {
  if (size == 0) return;
#if defined(_WIN32)
  SecureZeroMemory(data, size);
#else
  std::memset(data, 0, size);
  // Tells the compiler that the zeros are read; otherwise it would drop the memset before a free. A
  // volatile pointer would do that too, but byte by byte: wiping the buffer of a small cache would
  // take longer than reading the cache.
  __asm__ __volatile__("" : : "r"(data) : "memory");
#endif
}

SecureBytes::SecureBytes(size_t size)
    : data_(size == 0 ? nullptr : new char[size]), size_(size), capacity_(size) {}

SecureBytes SecureBytes::CopyOf(std::string_view bytes) {
  SecureBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data(), bytes.data(), bytes.size());
  return copy;
}

SecureBytes::SecureBytes(SecureBytes&& other) noexcept
    : data_(std::move(other.data_)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

SecureBytes& SecureBytes::operator=(SecureBytes&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) Wipe(data_.get(), capacity_);
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

SecureBytes::~SecureBytes() {
  if (data_ != nullptr) Wipe(data_.get(), capacity_);
}

void SecureBytes::Resize(size_t size) {
  if (size > capacity_) {
    std::unique_ptr<char[]> grown(new char[size]);
    if (size_ > 0) std::memcpy(grown.get(), data_.get(), size_);
    if (data_ != nullptr) Wipe(data_.get(), capacity_);
    data_ = std::move(grown);
    capacity_ = size;
  }
  size_ = size;
}

}  // namespace stc
