// CallKeyringService: one call to the keyring service, with a deadline.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_CALL_LINUX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_CALL_LINUX_H_

#include <functional>

#include "base/status.h"
#include "stores/libsecret_api_linux.h"
#include "stores/secret_store.h"

namespace stc {

// Calls `call` once, which must pass both arguments to one synchronous function of libsecret.
// Cancels that function at the deadline, or when the job is cancelled. Returns kStoreTimeout then,
// and otherwise the function's error as a status. `operation`: name of the function.
Status CallKeyringService(
    const LibsecretApi& api, const CallLimits& limits, const char* operation,
    const std::function<void(GCancellable* cancellable, GError** error)>& call);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_CALL_LINUX_H_
