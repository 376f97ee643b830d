#include "io/cache_file_errors.h"

namespace stc {

Status CacheTooLarge(const char* operation, const std::string& path) {
  return Status(StatusCode::kCacheCorrupt, operation, "", 0,
                path + ": larger than 1 GiB, which no token cache is. Move it away.");
}

Status CacheChanged(const char* operation, const std::string& path) {
  return Status(StatusCode::kCacheChanged, operation, "", 0,
                path + ": written to while it was read. Stop the program that keeps writing it.");
}

Status NotARegularFile(const char* operation, const std::string& path, const char* domain,
                       int64_t os_code) {
  return Status(StatusCode::kIo, operation, domain, os_code,
                path + ": not a regular file. Move it away.");
}

}  // namespace stc
