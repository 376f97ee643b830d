// ErrnoStatus: makes a Status of an errno, with advice.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_ERRNO_STATUS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_ERRNO_STATUS_H_

#include <string>

#include "base/status.h"

namespace stc {

// `operation` names the call that failed on `path` with `error`. Returns kStoreDenied or kIo.
Status ErrnoStatus(const char* operation, const std::string& path, int error);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_ERRNO_STATUS_H_
