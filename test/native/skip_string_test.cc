// Compares SkipString with a loop over bytes: all lengths, positions and kinds of end, then random
// text. Compiled once for each vector instruction set of this processor.

#include "json/skip_string.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "base/cpu_features.h"

namespace {

const char* Expected(const char* begin, const char* end) {
  while (begin != end && static_cast<signed char>(*begin) >= 0x20 && *begin != '"' &&
         *begin != '\\') {
    ++begin;
  }
  return begin;
}

#if defined(STC_WIDE) && defined(STC_AVX2_KERNEL)
STC_AVX2 const char* Skip(const char* begin, const char* end) {
  return stc::SkipStringWide(begin, end);
}
#else
const char* Skip(const char* begin, const char* end) { return stc::SkipString(begin, end); }
#endif

// The buffer ends with the text, so that a memory checker reports reads behind the end.
void Check(const std::string& text) {
  const std::unique_ptr<char[]> copy(new char[text.size()]);
  std::memcpy(copy.get(), text.data(), text.size());
  const char* end = copy.get() + text.size();
  for (size_t start = 0; start <= text.size() && start < 20; ++start) {
    const char* begin = copy.get() + start;
    const char* found = Skip(begin, end);
    if (found != Expected(begin, end)) {
      std::fprintf(stderr, "size %zu, from %zu: found %td\n", text.size(), start, found - begin);
      std::exit(1);
    }
  }
}

}  // namespace

int main() {
#if defined(STC_WIDE) && defined(STC_AVX2_KERNEL)
  if (!stc::HasAvx2()) {
    std::puts("without AVX2");
    return 0;
  }
#endif
  long checked = 0;
  // Every byte value at every position, in texts whose sizes reach each of the loops.
  for (const size_t size : {1, 15, 16, 17, 63, 64, 65, 79, 127, 128, 129, 200, 321}) {
    Check(std::string(size, 'x'));
    for (size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(byte);
        Check(text);
        ++checked;
      }
    }
  }
  std::mt19937 random(20261123);
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 400, ' ');
    const unsigned rarity = 1 + random() % 200;
    for (char& each : text) {
      each = static_cast<char>(random() % rarity == 0 ? random() % 256 : 0x23 + random() % 0x30);
    }
    Check(text);
    ++checked;
  }
#if defined(STC_WIDE) && defined(STC_AVX2_KERNEL)
  const char* kernel = "AVX2";
#elif defined(STC_SSE2_KERNEL)
  const char* kernel = "SSE2";
#elif defined(STC_NEON_KERNEL)
  const char* kernel = "NEON";
#else
  const char* kernel = "scalar";
#endif
  std::printf("%s %ld\n", kernel, checked);
  return 0;
}
