// ByteSource: a cache's plaintext as the scanner reads it, once from front to back, with single
// records fetched again at the end. A file is read through one window, so that a large cache costs
// no memory; a keyring item is in memory anyway.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BYTE_SOURCE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/secure_bytes.h"
#include "base/status.h"

namespace stc {

// Not thread-safe: one job owns it. Whatever it holds is wiped with it.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // The whole plaintext where it is in memory already, else an empty view with `*whole` false.
  virtual std::string_view Whole(bool* whole) const = 0;

  // Reads up to `capacity` bytes that follow the last ones read. `*size` 0 means the end. A short
  // read is not the end.
  virtual Status Read(char* buffer, size_t capacity, size_t* size) = 0;

  // Reads exactly `size` bytes from `offset`. kCacheChanged when they are no longer there.
  virtual Status Fetch(uint64_t offset, size_t size, char* buffer) = 0;

  // To be called after the last Read and Fetch: kCacheChanged when the store was written meanwhile,
  // so that what was read may be half old and half new.
  virtual Status Verify() = 0;

  // See SecretStore::Stamp, and CacheSlice in src/backend/backend.ts. Known from the opening on.
  virtual const std::string& stamp() const = 0;
  virtual double modified_ms() const = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BYTE_SOURCE_H_
