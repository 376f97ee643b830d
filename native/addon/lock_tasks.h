// The asynchronous functions of the addon on locks that JavaScript holds across calls. Each returns
// a promise; their types are those of NativeAddon in src/backend/native-backend.ts.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_LOCK_TASKS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_LOCK_TASKS_H_

#include <napi.h>

namespace stc {

Napi::Value StartTryLock(const Napi::CallbackInfo& info);
Napi::Value StartCheckLock(const Napi::CallbackInfo& info);
Napi::Value StartTouchLock(const Napi::CallbackInfo& info);
Napi::Value StartReleaseLock(const Napi::CallbackInfo& info);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_LOCK_TASKS_H_
