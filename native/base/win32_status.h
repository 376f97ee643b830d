// Win32Status: makes a Status of an error of the Windows API, with advice.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WIN32_STATUS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WIN32_STATUS_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace stc {

// `operation` names the call that failed on `path` (UTF-8), `error` is the value of GetLastError().
// Returns kStoreDenied or kIo.
Status Win32Status(const char* operation, const std::string& path, uint32_t error);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WIN32_STATUS_H_
