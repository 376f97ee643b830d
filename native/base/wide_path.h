// Converts text and paths between UTF-8 and the UTF-16 of the Windows API.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WIDE_PATH_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WIDE_PATH_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace stc {

// Converts `path` (UTF-8) to an absolute path with the prefix `\\?\`, which raises the limit from
// 260 to 32,767 characters. Returns kIo if it is not UTF-8, contains a NUL or is not a path.
Status WidenPath(const std::string& path, std::wstring* wide);

// Converts UTF-16 to UTF-8. Lone surrogates become replacement characters.
std::string Narrow(std::wstring_view wide);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WIDE_PATH_H_
