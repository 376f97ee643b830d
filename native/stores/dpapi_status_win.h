// DpapiFailure: what DPAPI says as a Status, with the cure.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_DPAPI_STATUS_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_DPAPI_STATUS_WIN_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace stc {

// `operation`, which opens or makes the blob of the file at `path`, failed with `result`, what
// GetLastError() said. kCacheCorrupt: the blob is at fault, and nothing will open it.
Status DpapiFailure(const char* operation, const std::string& path, uint32_t result);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_DPAPI_STATUS_WIN_H_
