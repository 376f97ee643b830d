// What the processor that this runs on can do beyond what the binary was compiled for.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CPU_FEATURES_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CPU_FEATURES_H_

namespace stc {

#if defined(__x86_64__)
// Whether there is AVX2, and the system keeps its registers. Asks once: on a virtual machine each
// of the three questions takes 4 us.
bool HasAvx2();
#endif

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CPU_FEATURES_H_
