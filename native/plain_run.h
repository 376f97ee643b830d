// Runs of plain string content: the inner loop of the scanner, which nearly every byte of a cache
// goes through once.
//
// Measured on an AMD EPYC, 30 MB as MSAL for Node writes it (strings of 1 to 2,500 bytes, 125 on
// average): the scanner makes 13 GB/s this way, and 8 with libc's memchr for the quotation mark and
// a second look at what it passed over. Inside long strings it is 40 GB/s, so that wider vectors
// gain little: AVX2 compiled in, without what choosing it at run time would cost, was 1.00x as fast
// in memory at 23 KB, 1.15x at 1.5 MB and 1.17x at 30 MB, and out of a file half of that gain.
// Below 1.2x a second kernel does not pay for its keep.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_PLAIN_RUN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_PLAIN_RUN_H_

#include <cstddef>
#include <cstdint>

// For tests: the kernel of processors without vectors, wherever it is compiled.
#if !defined(STC_SCALAR_KERNEL)
#if defined(__SSE2__)
#define STC_SSE2_KERNEL
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define STC_NEON_KERNEL
#include <arm_neon.h>
#endif
#endif

namespace stc {

namespace plain_run {

inline bool IsPlain(char c) {
  // As a signed byte, everything that is not ASCII is negative.
  return static_cast<signed char>(c) >= 0x20 && c != '"' && c != '\\';
}

#if defined(STC_SSE2_KERNEL)

// All bits of the bytes that are not plain. With bit 1 turned over, the quotation mark comes to
// stand right after the control characters, and before all else but the negative bytes.
inline __m128i Stops(const char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i turned = _mm_xor_si128(bytes, _mm_set1_epi8(2));
  return _mm_or_si128(_mm_cmplt_epi8(turned, _mm_set1_epi8(0x21)),
                      _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
}

inline uint64_t StopMask(const char* p) {
  return static_cast<unsigned>(_mm_movemask_epi8(Stops(p)));
}

// Where the first byte that is not plain stands among the 16 or 64 from `p`, else 16 or 64.
inline size_t FindStop16(const char* p) {
  return static_cast<size_t>(__builtin_ctz(static_cast<unsigned>(StopMask(p)) | 1u << 16));
}

inline size_t FindStop64(const char* p) {
  const uint64_t mask =
      StopMask(p) | StopMask(p + 16) << 16 | StopMask(p + 32) << 32 | StopMask(p + 48) << 48;
  return mask == 0 ? 64 : static_cast<size_t>(__builtin_ctzll(mask));
}

inline bool HasStop64(const char* p) {
  const __m128i any = _mm_or_si128(_mm_or_si128(Stops(p), Stops(p + 16)),
                                   _mm_or_si128(Stops(p + 32), Stops(p + 48)));
  return _mm_movemask_epi8(any) != 0;
}

#elif defined(STC_NEON_KERNEL)

inline uint8x16_t Stops(const char* p) {
  const uint8x16_t bytes = vld1q_u8(reinterpret_cast<const uint8_t*>(p));
  const uint8x16_t turned = veorq_u8(bytes, vdupq_n_u8(2));
  return vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(turned), vdupq_n_s8(0x21)),
                  vceqq_u8(bytes, vdupq_n_u8('\\')));
}

inline size_t FindStop16(const char* p) {
  // Narrowing leaves four bits of each byte.
  const uint64_t nibbles =
      vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(Stops(p)), 4)), 0);
  return nibbles == 0 ? 16 : static_cast<size_t>(__builtin_ctzll(nibbles)) / 4;
}

inline size_t FindStop64(const char* p) {
  size_t i = 0;
  for (size_t found = 16; i < 64 && found == 16; i += found) found = FindStop16(p + i);
  return i;
}

inline bool HasStop64(const char* p) {
  return vmaxvq_u8(vorrq_u8(vorrq_u8(Stops(p), Stops(p + 16)),
                            vorrq_u8(Stops(p + 32), Stops(p + 48)))) != 0;
}

#else

inline size_t FindStop16(const char* p) {
  size_t i = 0;
  while (i < 16 && IsPlain(p[i])) ++i;
  return i;
}

inline size_t FindStop64(const char* p) {
  size_t i = 0;
  while (i < 64 && IsPlain(p[i])) ++i;
  return i;
}

inline bool HasStop64(const char* p) {
  // Without a way out in the middle, so that compilers can make vectors of it.
  bool has_stop = false;
  for (size_t i = 0; i < 64; ++i) has_stop |= !IsPlain(p[i]);
  return has_stop;
}

#endif

}  // namespace plain_run

// The first byte in [begin, end) that ends a run of plain string content: a quotation mark, a
// backslash, a control character or a byte that is not ASCII; `end` if there is none.
inline const char* SkipPlain(const char* begin, const char* end) {
  const char* p = begin;
  if (end - p >= 64) {
    // Field names and short values: a guess that the processor makes well, and need not wait for.
    size_t found = plain_run::FindStop16(p);
    if (found < 16) return p + found;
    found = plain_run::FindStop64(p);
    if (found < 64) return p + found;
    p += 64;
    while (end - p >= 64) {
      if (plain_run::HasStop64(p)) return p + plain_run::FindStop64(p);
      p += 64;
    }
  }
  while (end - p >= 16) {
    const size_t found = plain_run::FindStop16(p);
    if (found < 16) return p + found;
    p += 16;
  }
  while (p != end && plain_run::IsPlain(*p)) ++p;
  return p;
}

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_PLAIN_RUN_H_
