// Base64 as keyring items of .NET and Java hold it: standard alphabet, padding optional.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE64_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE64_H_

#include <string_view>

#include "base/secure_bytes.h"

namespace stc {

// False, with `*bytes` of no meaning, if `text` is anything else. White space around it is passed
// over.
bool DecodeBase64(std::string_view text, SecureBytes* bytes);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE64_H_
