// What the cache files of all systems have in common: the largest size, and the failures that are
// not the operating system's.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_ERRORS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_ERRORS_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace stc {

// Bytes. The same as maxCacheSizeBytes in src/backend/backend.ts.
inline constexpr int64_t kMaxCacheSize = int64_t{1} << 30;

// `operation` names the system call that showed the failure.
Status CacheTooLarge(const char* operation, const std::string& path);
Status CacheChanged(const char* operation, const std::string& path);
// `domain` and `os_code`: see Status.
Status NotARegularFile(const char* operation, const std::string& path, const char* domain,
                       int64_t os_code);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_ERRORS_H_
