// MemorySource: bytes in memory that belong to somebody else, as a ByteSource.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_MEMORY_SOURCE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_MEMORY_SOURCE_H_

#include <cstring>
#include <string>
#include <string_view>

#include "io/byte_source.h"

namespace stc {

// `bytes` must outlive the source.
class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : bytes_(bytes) {}

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
  double modified_ms() const override { return 0; }

 private:
  const std::string_view bytes_;
  const std::string stamp_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_MEMORY_SOURCE_H_
