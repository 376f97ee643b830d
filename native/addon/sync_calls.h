// The synchronous functions of the addon. Their types are those of NativeAddon in
// src/backend/native-backend.ts. A failure of the core is returned as ToJs(Status), not thrown:
// native-backend.ts makes an error with a JavaScript stack of it.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_SYNC_CALLS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_SYNC_CALLS_H_

#include <napi.h>

namespace stc {

Napi::Value Probe(const Napi::CallbackInfo& info);
Napi::Value ScanBytes(const Napi::CallbackInfo& info);
Napi::Value EditBytes(const Napi::CallbackInfo& info);
#if defined(__linux__)
Napi::Value ReadKey(const Napi::CallbackInfo& info);
#endif
#if defined(_WIN32)
Napi::Value LocalAppData(const Napi::CallbackInfo& info);
#endif

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_SYNC_CALLS_H_
