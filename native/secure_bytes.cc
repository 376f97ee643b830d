#include "secure_bytes.h"

#include <cstring>
#include <utility>

namespace stc {

void Wipe(void* data, size_t size) {
  // Writes through a volatile pointer are side effects, which may not be optimised away.
  volatile char* bytes = static_cast<volatile char*>(data);
  for (size_t i = 0; i < size; ++i) bytes[i] = 0;
}

SecureBytes::SecureBytes(size_t size)
    : data_(size == 0 ? nullptr : new char[size]), size_(size), capacity_(size) {}

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
