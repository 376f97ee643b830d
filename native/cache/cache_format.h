// SniffCache: tells MSAL's JSON from an encrypted cache by its first bytes.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_FORMAT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_FORMAT_H_

#include <string_view>

#include "base/status.h"
#include "json/json_reader.h"

namespace stc {

// Whether text that starts with these bytes is a compact JWE, the format of the Azure SDK for Go.
bool IsJwe(std::string_view text);

// Inspects the start of the text and consumes only white space. Returns kCacheFormat if the text is
// encrypted by another platform or library. `*is_empty`: the text is empty or only white space.
Status SniffCache(JsonReader* reader, bool* is_empty);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_FORMAT_H_
