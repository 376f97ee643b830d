#include "addon/sync_calls.h"

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "addon/environment.h"
#include "addon/from_js.h"
#include "addon/to_js.h"
#include "base/secure_bytes.h"
#include "base/status.h"
#include "cache/cache_editor.h"
#include "cache/cache_scanner.h"
#include "io/memory_source.h"
#include "stores/secret_store.h"
#if defined(__linux__)
#include "stores/kernel_key.h"
#endif
#if defined(_WIN32)
#include "io/known_folder.h"
#endif

namespace stc {

Napi::Value Probe(const Napi::CallbackInfo& info) {
  const Status status = ToStore(info[0]).Probe();
  if (!status.ok()) return ToJs(info.Env(), status);
  return info.Env().Undefined();
}

Napi::Value ScanBytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  // Throws before the scan if its result could not be converted.
  EnvironmentOf(env);
  // Before ToBytes, because it may run getters, which could detach the bytes.
  const CacheQuery query = ToQuery(info[1]);
  MemorySource source(ToBytes(info[0]));
  CacheSlice slice;
  const Status status = ScanCache(&source, query, &slice);
  if (!status.ok()) return ToJs(env, status);
  return ToJs(env, std::move(slice));
}

Napi::Value EditBytes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  // Before ToBytes, because it may run getters, which could detach the bytes.
  const CacheChange change = ToChange(info[1]);
  const std::string_view bytes = ToBytes(info[0]);
  MemorySource source(bytes);
  EditPlan plan;
  const Status status = PlanEdits(&source, change, &plan);
  if (!status.ok()) return ToJs(env, status);
  static constexpr const char* kNames[] = {"no-account", "unchanged", "changed"};
  Napi::Object result = Napi::Object::New(env);
  result["outcome"] = kNames[static_cast<size_t>(plan.outcome)];
  if (plan.outcome == EditOutcome::kChanged) {
    Napi::Uint8Array changed = Napi::Uint8Array::New(env, static_cast<size_t>(plan.size));
    const SecureBytes assembled = plan.Assemble(bytes);
    std::memcpy(changed.Data(), assembled.data(), assembled.size());
    result["bytes"] = changed;
  }
  return result;
}

#if defined(__linux__)
// Synchronous, because the system call takes microseconds.
Napi::Value ReadKey(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  SecureBytes payload;
  const Status status = ReadKernelKey(ToPath(info[0]), &payload);
  if (status.code() == StatusCode::kNotFound) return env.Null();
  if (!status.ok()) return ToJs(env, status);
  // The caller wipes it.
  Napi::Uint8Array bytes = Napi::Uint8Array::New(env, payload.size());
  if (payload.size() > 0) std::memcpy(bytes.Data(), payload.data(), payload.size());
  return bytes;
}
#endif

#if defined(_WIN32)
Napi::Value LocalAppData(const Napi::CallbackInfo& info) {
  std::string path;
  const Status status = FindLocalAppData(&path);
  if (!status.ok()) return ToJs(info.Env(), status);
  return Napi::String::New(info.Env(), path);
}
#endif

}  // namespace stc
