// Keys that the Linux kernel keeps for a user.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_KERNEL_KEY_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_KERNEL_KEY_H_

#include <string>

#include "base/secure_bytes.h"
#include "base/status.h"

namespace stc {

// Reads the key of type "user" with this description, out of the user's persistent keyring or the
// user keyring. Makes both reachable for this process alone, and changes nothing else. Never waits.
// kNotFound if there is none; kStoreUnavailable where the kernel has no keys for this process.
Status ReadKernelKey(const std::string& description, SecureBytes* payload);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_KERNEL_KEY_H_
