// DpapiFailure: converts an error of DPAPI to a Status with advice for the user.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_DPAPI_STATUS_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_DPAPI_STATUS_WIN_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace stc {

// `operation`: the failed call that decrypts or encrypts the file at `path`. `result`: what
// GetLastError() returned. kCacheCorrupt means that the blob is damaged or from another user, so
// that a retry does not help.
Status DpapiFailure(const char* operation, const std::string& path, uint32_t result);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_DPAPI_STATUS_WIN_H_
