// SkipString: finds the next quote, backslash, control character or non-ASCII byte. The scanner's
// hot loop: nearly every byte of a cache passes through it once.
//
// Faster than libc's memchr for the quote followed by a check of the bytes in between. AVX2 pays
// above the size of one buffer; AVX-512 is no faster than AVX2 (measured: bench P10).

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_SKIP_STRING_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_SKIP_STRING_H_

#include <cstddef>
#include <cstdint>

// Tests define STC_SCALAR_KERNEL to compile the kernel for processors without vectors.
#if !defined(STC_SCALAR_KERNEL)
#if defined(__SSE2__)
#define STC_SSE2_KERNEL
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#define STC_NEON_KERNEL
#include <arm_neon.h>
#endif
// MSVC cannot compile single functions for another processor. The instruction counter defines
// STC_NO_AVX2, so that its counts are the same on every machine.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(STC_NO_AVX2)
#define STC_AVX2_KERNEL
#include <immintrin.h>
#endif
#endif

namespace stc {

namespace skip_string {

inline bool IsPlain(char c) {
  // As signed bytes, non-ASCII bytes are negative.
  return static_cast<signed char>(c) >= 0x20 && c != '"' && c != '\\';
}

#if defined(STC_SSE2_KERNEL)

// Sets all bits of each byte that is not plain. Inverting bit 1 turns the quote (0x22) into 0x20,
// which follows the control characters, and no other plain byte into less than 0x21: one signed
// comparison finds control characters, the quote and non-ASCII bytes.
inline __m128i Stops(const char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i turned = _mm_xor_si128(bytes, _mm_set1_epi8(2));
  return _mm_or_si128(_mm_cmplt_epi8(turned, _mm_set1_epi8(0x21)),
                      _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
}

inline uint64_t StopMask(const char* p) {
  return static_cast<unsigned>(_mm_movemask_epi8(Stops(p)));
}

// Return the index of the first byte that is not plain among the 16 or 64 at `p`; else 16 or 64.
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
  // Narrowing leaves four bits per byte.
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
  // Without an early exit, so that compilers can vectorise it.
  bool has_stop = false;
  for (size_t i = 0; i < 64; ++i) has_stop |= !IsPlain(p[i]);
  return has_stop;
}

#endif

// SkipString for the last bytes of a text.
inline const char* SkipRest(const char* p, const char* end) {
  for (; end - p >= 16; p += 16) {
    const size_t found = FindStop16(p);
    if (found < 16) return p + found;
  }
  while (p != end && IsPlain(*p)) ++p;
  return p;
}

}  // namespace skip_string

// Returns the first byte in [begin, end) that is a quote, a backslash, a control character or not
// ASCII; `end` if there is none.
inline const char* SkipString(const char* begin, const char* end) {
  const char* p = begin;
  if (end - p >= 64) {
    // Field names and short values end here: a well predicted branch.
    size_t found = skip_string::FindStop16(p);
    if (found < 16) return p + found;
    found = skip_string::FindStop64(p);
    if (found < 64) return p + found;
    p += 64;
    while (end - p >= 64) {
      if (skip_string::HasStop64(p)) return p + skip_string::FindStop64(p);
      p += 64;
    }
  }
  return skip_string::SkipRest(p, end);
}

#if defined(STC_AVX2_KERNEL)

// Compiles a function for processors with AVX2, whatever the target of the file.
#define STC_AVX2 __attribute__((target("avx2")))

namespace skip_string {

// As Stops, for 32 bytes.
STC_AVX2 inline __m256i WideStops(const char* p) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i turned = _mm256_xor_si256(bytes, _mm256_set1_epi8(2));
  return _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(0x21), turned),
                         _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\')));
}

STC_AVX2 inline unsigned WideStopMask(const char* p) {
  return static_cast<unsigned>(_mm256_movemask_epi8(WideStops(p)));
}

STC_AVX2 inline bool HasStop128(const char* p) {
  const __m256i any = _mm256_or_si256(_mm256_or_si256(WideStops(p), WideStops(p + 32)),
                                      _mm256_or_si256(WideStops(p + 64), WideStops(p + 96)));
  return _mm256_movemask_epi8(any) != 0;
}

}  // namespace skip_string

// As SkipString, for processors with AVX2 (HasAvx2). Inlined, because a call per string would cost
// as much as it gains.
STC_AVX2 __attribute__((always_inline)) inline const char* SkipStringWide(const char* begin,
                                                                          const char* end) {
  const char* p = begin;
  if (end - p >= 96) {
    // Short values end here. One vector after the other is faster than two at once, because most
    // values end in the first.
    unsigned mask = skip_string::WideStopMask(p);
    if (mask != 0) return p + __builtin_ctz(mask);
    mask = skip_string::WideStopMask(p + 32);
    if (mask != 0) return p + 32 + __builtin_ctz(mask);
    mask = skip_string::WideStopMask(p + 64);
    if (mask != 0) return p + 64 + __builtin_ctz(mask);
    p += 96;
    while (end - p >= 128 && !skip_string::HasStop128(p)) p += 128;
    for (; end - p >= 32; p += 32) {
      mask = skip_string::WideStopMask(p);
      if (mask != 0) return p + __builtin_ctz(mask);
    }
  }
  return skip_string::SkipRest(p, end);
}

#endif

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_SKIP_STRING_H_
