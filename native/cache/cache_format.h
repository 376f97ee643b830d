// SniffCache: tells MSAL's JSON from what else stands where a cache is expected.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_FORMAT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_FORMAT_H_

#include "base/status.h"
#include "json/json_reader.h"

namespace stc {

// Looks at the beginning, without taking more than white space. Returns kCacheFormat for another
// platform's or library's encryption. `*is_empty`: there is nothing but white space.
Status SniffCache(JsonReader* reader, bool* is_empty);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_FORMAT_H_
