// KeepLoaded: for code that threads of our own run. Node unloads an addon with the last environment
// that loaded it, such as a worker's, and a thread must not return to code that is gone.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_KEEP_LOADED_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_KEEP_LOADED_H_

namespace stc {

// Keeps the addon in memory until the process ends. To be called before a thread is started that
// may outlive its environment. Thread-safe; costs nothing but the first time.
void KeepLoaded();

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_KEEP_LOADED_H_
