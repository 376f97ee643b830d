// GuardStamp: the state of a small file that another process replaces to stop a write.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_GUARD_STAMP_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_GUARD_STAMP_H_

#include <optional>
#include <string>

#include "base/status.h"

namespace stc {

// Reads the state of the file at `path`: its first bytes, because not every file system stores
// times that are exact enough, or its stamp if it cannot be read or is empty. `*stamp` is nullopt
// if there is no file. Same as guardStamp in src/backend/guard-stamp.ts. Returns kStoreDenied or
// kIo.
Status GuardStamp(const std::string& path, std::optional<std::string>* stamp);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_GUARD_STAMP_H_
