// CommitFile: SecretStore::Commit for a cache that is a file, on Windows.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_WIN_H_

#include <string>

#include "base/secure_bytes.h"
#include "base/status.h"
#include "stores/commit.h"

namespace stc {

// What a file's bytes are to a cache's text. Thread-safe. `path`, for messages, is the file's.
class CacheEncoding {
 public:
  virtual ~CacheEncoding() = default;

  // Makes the cache's text of the file's bytes, in place. An empty file is not given.
  virtual Status Decode(const std::string& path, SecureBytes* bytes) const = 0;

  // The other way round.
  virtual Status Encode(const std::string& path, SecureBytes* bytes) const = 0;
};

// See SecretStore::Commit. The new cache is written beside the old one and takes its name, so that
// a reader finds the one or the other. Where readers keep that from being done for a hundred
// milliseconds of tries, the old one is written over, as other libraries do. A symbolic link stays:
// what it points to is replaced.
//
// While readers are in the way the outcome is kLocked, and the next try is the caller's.
Status CommitFile(const std::string& path, const CacheEncoding& encoding,
                  const CommitRequest& request, LockSet* locks, CommitResult* result);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_WIN_H_
