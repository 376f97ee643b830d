// The asynchronous functions of the addon that read or write a cache. Each returns a promise; their
// types are those of NativeAddon in src/backend/native-backend.ts.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_CACHE_TASKS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_CACHE_TASKS_H_

#include <napi.h>

namespace stc {

Napi::Value StartQuery(const Napi::CallbackInfo& info);
Napi::Value StartStamp(const Napi::CallbackInfo& info);
Napi::Value StartRead(const Napi::CallbackInfo& info);
Napi::Value StartCommit(const Napi::CallbackInfo& info);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_CACHE_TASKS_H_
