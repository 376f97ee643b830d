// SecureBytes: an owning byte buffer that is wiped when it is freed or reallocated. Holds decrypted
// caches. Not thread-safe. Movable but not copyable, so that there is one copy of a secret.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_SECURE_BYTES_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_SECURE_BYTES_H_

#include <cstddef>
#include <memory>
#include <string_view>

namespace stc {

// Overwrites `size` bytes with zeros. The compiler does not optimise it away.
void Wipe(void* data, size_t size);

class SecureBytes {
 public:
  SecureBytes() = default;
  explicit SecureBytes(size_t size);
  static SecureBytes CopyOf(std::string_view bytes);
  SecureBytes(SecureBytes&& other) noexcept;
  SecureBytes& operator=(SecureBytes&& other) noexcept;
  SecureBytes(const SecureBytes&) = delete;
  SecureBytes& operator=(const SecureBytes&) = delete;
  ~SecureBytes();

  char* data() { return data_.get(); }
  const char* data() const { return data_.get(); }
  size_t size() const { return size_; }
  std::string_view view() const { return {data_.get(), size_}; }

  // Changes the size and keeps the first min(old, new) bytes. New bytes are not initialised. An old
  // buffer is wiped.
  void Resize(size_t size);

 private:
  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_SECURE_BYTES_H_
