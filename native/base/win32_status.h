// Win32Status: an error of a Windows call as a Status, with the cure.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_WIN32_STATUS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_WIN32_STATUS_H_

#include <cstdint>
#include <string>

#include "base/status.h"

namespace stc {

// `operation` names the call that failed on `path`, UTF-8, with `error`, what GetLastError() said.
// Never kNotFound.
Status Win32Status(const char* operation, const std::string& path, uint32_t error);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_WIN32_STATUS_H_
