#include "base/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#endif

namespace stc {

#if defined(__x86_64__)

namespace {

// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, 14.7.1.
bool DetectAvx2() {
  constexpr uint32_t kOsxsave = 1u << 27;
  constexpr uint32_t kAvx = 1u << 28;
  constexpr uint32_t kAvx2 = 1u << 5;
  constexpr uint32_t kXmmAndYmm = 6;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & (kOsxsave | kAvx)) != (kOsxsave | kAvx)) {
    return false;
  }
  uint32_t kept = 0;
  uint32_t high = 0;
  __asm__("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
  return (kept & kXmmAndYmm) == kXmmAndYmm && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
         (b & kAvx2) != 0;
}

}  // namespace

bool HasAvx2() {
  static const bool has_avx2 = DetectAvx2();
  return has_avx2;
}

#endif

}  // namespace stc
