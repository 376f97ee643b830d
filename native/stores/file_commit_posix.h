// CommitFile: SecretStore::Commit for a cache that is a file, on POSIX systems.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_POSIX_H_

#include <string>

#include "base/status.h"
#include "stores/commit.h"

namespace stc {

// See SecretStore::Commit. The new cache is written beside the old one and renamed over it, so that
// a reader finds the one or the other. A symbolic link stays: what it points to is replaced.
Status CommitFile(const std::string& path, const CommitRequest& request, LockSet* locks,
                  CommitResult* result);

// Sets the time stamp of the file at `path`, which is made if it is missing, past every one that a
// peer may have seen, so that all peers notice. For files that only signal.
Status TouchSignalFile(const std::string& path);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_POSIX_H_
