// Detects processor features beyond those that the binary was compiled for.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_CPU_FEATURES_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_CPU_FEATURES_H_

namespace stc {

#if defined(__x86_64__)
// Returns whether the processor has AVX2 and the operating system saves its registers. Detects it
// once per process, because virtual machines trap the instructions for it.
bool HasAvx2();
#endif

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_CPU_FEATURES_H_
