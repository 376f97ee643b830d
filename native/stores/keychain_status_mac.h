// KeychainStatus: converts a status of macOS to a Status with advice for the user.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_STATUS_MAC_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_STATUS_MAC_H_

#include <cstdint>

#include "base/status.h"

namespace stc {

// Domain of the codes in such statuses.
inline constexpr char kKeychainDomain[] = "OSStatus";

// `operation`: the call that returned `code`. Returns kOk for success, and kNotFound if there is no
// such item.
Status KeychainStatus(const char* operation, int32_t code);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_STATUS_MAC_H_
