// Converts C++ values to JavaScript values. Each function throws Napi::Error if the environment is
// ending or a string is longer than V8 allows.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_TO_JS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_TO_JS_H_

#include <napi.h>

#include <string_view>

#include "base/status.h"
#include "cache/cache_scanner.h"

namespace stc {

// `text` is well-formed UTF-8.
Napi::Value ToJs(Napi::Env env, std::string_view text);

// NativeSlice of src/backend/addon-interface.ts.
Napi::Value ToJs(Napi::Env env, CacheSlice&& slice);

// takeRest(slice): appends further entries to a slice that has a rest. Returns whether it is
// complete now.
Napi::Value TakeRest(const Napi::CallbackInfo& info);

// NativeFailure of src/backend/native-backend.ts, which makes an error with a JavaScript stack of
// it.
Napi::Object ToJs(Napi::Env env, const Status& status);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_TO_JS_H_
