// Converts errors of libsecret to statuses with advice for the user.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_STATUS_LINUX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_STATUS_LINUX_H_

#include <chrono>
#include <string>

#include "base/status.h"
#include "stores/libsecret_api_linux.h"

namespace stc {

// Domains of error codes, by the names that GLib gives them.
inline constexpr char kIoDomain[] = "g-io-error-quark";
inline constexpr char kSecretDomain[] = "secret-error";

// `operation`: the call that failed. `domain` and `code`: its error, "" and 0 if there is none.
Status LibsecretUnavailable(const char* operation, const char* domain, int code, std::string what);
Status LibsecretTimeout(const char* operation, const char* domain, int code);
Status LibsecretLocked(const char* operation, const char* domain, int code);

// Converts the error of a call, and frees it.
Status LibsecretFailure(const LibsecretApi& api, const char* operation, GError* error);

// Whether the keyring service has left the bus, before the call or during it.
bool IsServiceGone(const Status& status);

// Whether the keyring service has left the bus during the call. The call may have had its effect.
bool HasGoneInCall(const Status& status);

// Whether GLib ended the call, which took that long, after the process was stopped: the answer may
// have come meanwhile.
bool HasStoppedInCall(const Status& status, std::chrono::steady_clock::duration took);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_LIBSECRET_STATUS_LINUX_H_
