// MemorySource: a cache's plaintext in memory, as a ByteSource.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_MEMORY_SOURCE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_MEMORY_SOURCE_H_

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/secure_bytes.h"
#include "io/byte_source.h"

namespace stc {

// The bytes do not change, so Verify always succeeds.
class MemorySource : public ByteSource {
 public:
  // Reads `bytes`, which must outlive the source. The stamp is empty.
  explicit MemorySource(std::string_view bytes) : bytes_(bytes), modified_ms_(0) {}

  // Owns `bytes`, which a store returned as a whole cache.
  MemorySource(SecureBytes bytes, std::string stamp, double modified_ms)
      : owned_(std::move(bytes)),
        bytes_(owned_.view()),
        stamp_(std::move(stamp)),
        modified_ms_(modified_ms) {}

  std::string_view Whole(bool* whole) const override {
    *whole = true;
    return bytes_;
  }
  Status Read(char* /*buffer*/, size_t /*capacity*/, size_t* size) override {
    *size = 0;
    return Status::Ok();
  }
  Status Fetch(uint64_t offset, size_t size, char* buffer) override {
    std::memcpy(buffer, bytes_.data() + offset, size);
    return Status::Ok();
  }
  Status Verify() override { return Status::Ok(); }
  const std::string& stamp() const override { return stamp_; }
  double modified_ms() const override { return modified_ms_; }

 private:
  const SecureBytes owned_;
  const std::string_view bytes_;
  const std::string stamp_;
  const double modified_ms_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_MEMORY_SOURCE_H_
