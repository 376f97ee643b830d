// ByteSource: the plaintext of a cache. The scanner reads it once from beginning to end, and then
// fetches single records again. A file is read through one buffer of fixed size, so a large cache
// takes no more memory; a keyring item is in memory anyway.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_BYTE_SOURCE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/secure_bytes.h"
#include "base/status.h"

namespace stc {

// Not thread-safe: one job owns it. Wipes what it holds when it is destroyed.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Returns the whole plaintext if it is in memory; otherwise an empty view with `*whole` false.
  virtual std::string_view Whole(bool* whole) const = 0;

  // Reads the next bytes, at most `capacity`. `*size` 0 means the end; fewer than `capacity` do
  // not.
  virtual Status Read(char* buffer, size_t capacity, size_t* size) = 0;

  // Reads exactly `size` bytes at `offset`. Returns kCacheChanged if the cache is shorter now.
  virtual Status Fetch(uint64_t offset, size_t size, char* buffer) = 0;

  // Call after the last Read and Fetch. Returns kCacheChanged if the store was written meanwhile:
  // the bytes that were read may be a mixture of old and new ones.
  virtual Status Verify() = 0;

  // See SecretStore::Stamp, and CacheSlice in src/backend/backend.ts. As of the opening.
  virtual const std::string& stamp() const = 0;
  virtual double modified_ms() const = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_BYTE_SOURCE_H_
