// CommitFile: implements SecretStore::Commit for cache files on POSIX systems.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_POSIX_H_

#include <string>

#include "base/status.h"
#include "stores/commit.h"

namespace stc {

// See SecretStore::Commit. Writes the new cache to a temporary file and renames that over the old
// one, so that readers see one or the other. If `path` is a symbolic link, its target is replaced.
Status CommitFile(const std::string& path, const CommitRequest& request, LockSet* locks,
                  CommitResult* result);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_FILE_COMMIT_POSIX_H_
