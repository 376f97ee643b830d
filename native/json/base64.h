// Base64 as in keyring items of .NET and Java: standard alphabet, optional padding.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_BASE64_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_BASE64_H_

#include <string_view>

#include "base/secure_bytes.h"

namespace stc {

// Returns false if `text` is not Base64; `*bytes` is undefined then. Ignores white space around it.
bool DecodeBase64(std::string_view text, SecureBytes* bytes);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_BASE64_H_
