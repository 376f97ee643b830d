// SniffCache: tells MSAL's JSON from an encrypted cache by its first bytes.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_FORMAT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_FORMAT_H_

#include "base/status.h"
#include "json/json_reader.h"

namespace stc {

// Inspects the start of the text and consumes only white space. Returns kCacheFormat if the text is
// encrypted by another platform or library. `*is_empty`: the text is empty or only white space.
Status SniffCache(JsonReader* reader, bool* is_empty);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_FORMAT_H_
