// The addon's exports: NativeAddon in src/backend/native-backend.ts. Only this folder uses
// Node-API; the folders below it know nothing of JavaScript.

#include <napi.h>

#include "addon/cache_tasks.h"
#include "addon/environment.h"
#include "addon/lock_tasks.h"
#include "addon/sync_calls.h"
#include "addon/to_js.h"
#include "stores/secret_store.h"

namespace stc {

namespace {

// src/backend/native-backend.ts refuses any other number.
constexpr int kApiVersion = 3;

template <Napi::Value (*kFunction)(const Napi::CallbackInfo&)>
void Export(Napi::Object exports, const char* name) {
  exports[name] = Napi::Function::New<kFunction>(exports.Env(), name);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports["apiVersion"] = kApiVersion;
  Napi::Array stores = Napi::Array::New(env);
  for (const SecretStore* store : RegisteredStores()) {
    stores.Set(stores.Length(), Napi::String::New(env, store->name()));
  }
  exports["stores"] = stores;
  Export<SetEntryMakers>(exports, "setEntryMakers");
  Export<Probe>(exports, "probe");
  Export<StartQuery>(exports, "query");
  Export<StartStamp>(exports, "stamp");
  Export<ScanBytes>(exports, "scan");
  Export<TakeRest>(exports, "takeRest");
  Export<StartRead>(exports, "read");
  Export<StartCommit>(exports, "commit");
  Export<EditBytes>(exports, "edit");
  Export<StartTryLock>(exports, "tryLock");
  Export<StartCheckLock>(exports, "checkLock");
  Export<StartTouchLock>(exports, "touchLock");
  Export<StartReleaseLock>(exports, "releaseLock");
#if defined(__linux__)
  Export<ReadKey>(exports, "readKey");
#endif
#if defined(_WIN32)
  Export<LocalAppData>(exports, "localAppData");
#endif
  return exports;
}

}  // namespace

}  // namespace stc

static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) {
  return stc::Init(env, exports);
}

NODE_API_MODULE(azure_shared_token_cache, InitAddon)
