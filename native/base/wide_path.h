// Text and paths as Windows takes them.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_WIDE_PATH_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_WIDE_PATH_H_

#include <string>
#include <string_view>

#include "base/status.h"

namespace stc {

// `path`, UTF-8, as an absolute UTF-16 path of at most 32,767 characters: with the prefix that
// lifts the limit of 260. kIo if it is not UTF-8, holds a NUL, or is no path.
Status WidenPath(const std::string& path, std::wstring* wide);

// UTF-16 to UTF-8. Lone surrogates become replacement characters.
std::string Narrow(std::wstring_view wide);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_WIDE_PATH_H_
