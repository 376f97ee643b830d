// ReadKernelKey: reads a key from the keyrings that the Linux kernel keeps for a user.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KERNEL_KEY_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KERNEL_KEY_H_

#include <string>

#include "base/secure_bytes.h"
#include "base/status.h"

namespace stc {

// Reads the key of type "user" with this description from the user's persistent keyring or user
// keyring. Links both to this process's keyring and changes nothing else. Does not block. Returns
// kNotFound if there is no such key, and kStoreUnavailable if the kernel does not give this process
// access to keyrings.
Status ReadKernelKey(const std::string& description, SecureBytes* payload);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KERNEL_KEY_H_
