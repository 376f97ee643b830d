// KeepLoaded: keeps the addon's code in memory for threads of our own. Node unloads an addon when
// the last environment that loaded it ends, for example a worker, but such a thread may still run.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_KEEP_LOADED_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_KEEP_LOADED_H_

namespace stc {

// Keeps the addon in memory until the process ends. Call it before starting a thread that may
// outlive its environment. Thread-safe. Only the first call does anything.
void KeepLoaded();

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_KEEP_LOADED_H_
