// Converts JavaScript values to C++ values. Each function throws a TypeError (as Napi::Error) if
// the value has the wrong type.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_FROM_JS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_FROM_JS_H_

#include <napi.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "cache/cache_editor.h"
#include "cache/cache_scanner.h"
#include "stores/commit.h"
#include "stores/secret_store.h"

namespace stc {

[[noreturn]] void ThrowTypeError(Napi::Env env, const char* message);

// UTF-8, without a NUL.
std::string ToPath(const Napi::Value& value);
std::vector<std::string> ToPaths(const Napi::Value& value);

// The content of a Uint8Array. Valid until JavaScript runs again.
std::string_view ToBytes(const Napi::Value& value);

// The types of src/backend/backend.ts of the same names.
CacheQuery ToQuery(const Napi::Value& value);
CacheChange ToChange(const Napi::Value& value);
CommitRequest ToCommitRequest(const Napi::Value& value);
StoreLocation ToLocation(const Napi::Value& value);

// The registered store of that name.
const SecretStore& ToStore(const Napi::Value& value);

// `timeout_ms`: milliseconds from now. Negative values count as 0, values beyond the longest timer
// of Node as that.
CallLimits ToLimits(const Napi::Value& timeout_ms, Cancellation* cancellation);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ADDON_FROM_JS_H_
