// SecretSource: a cache's plaintext in memory, as a ByteSource that owns it.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_SECRET_SOURCE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_SECRET_SOURCE_H_

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "io/byte_source.h"

namespace stc {

// For stores that hand out whole caches, so that there is nothing to verify afterwards.
class SecretSource : public ByteSource {
 public:
  SecretSource(SecureBytes bytes, std::string stamp, double modified_ms)
      : bytes_(std::move(bytes)), stamp_(std::move(stamp)), modified_ms_(modified_ms) {}

  std::string_view Whole(bool* whole) const override {
    *whole = true;
    return bytes_.view();
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
  const SecureBytes bytes_;
  const std::string stamp_;
  const double modified_ms_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_SECRET_SOURCE_H_
