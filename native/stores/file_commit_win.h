// CommitFile: implements SecretStore::Commit for cache files on Windows.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_WIN_H_

#include <string>

#include "base/secure_bytes.h"
#include "base/status.h"
#include "stores/commit.h"

namespace stc {

// Converts between the bytes of a file and the text of a cache. Thread-safe. `path`: the file, for
// error messages.
class CacheEncoding {
 public:
  virtual ~CacheEncoding() = default;

  // Replaces the bytes of the file by the text of the cache. Not called for an empty file.
  virtual Status Decode(const std::string& path, SecureBytes* bytes) const = 0;

  // Replaces the text of the cache by the bytes of the file.
  virtual Status Encode(const std::string& path, SecureBytes* bytes) const = 0;
};

// See SecretStore::Commit. Writes the new cache to a temporary file that then takes the name of the
// old one, so that readers see one or the other. If readers block that for 100 ms of tries, the old
// file is overwritten in place, as other libraries do. If `path` is a symbolic link, its target is
// replaced.
//
// While readers block it, the outcome is kLocked and the caller decides about the next try.
Status CommitFile(const std::string& path, const CacheEncoding& encoding,
                  const CommitRequest& request, LockSet* locks, CommitResult* result);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_WIN_H_
