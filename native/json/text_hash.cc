#include "json/text_hash.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <random>
#include <string>

#if !defined(__SIZEOF_INT128__)
#include <intrin.h>
#endif

namespace stc {

namespace {

// NH, the universal hash of UMAC: sums of products of pairs of words, with a secret added to each
// word. Its bound on collisions is proven, and its products do not depend on each other, which
// makes it several times faster than hashes that mix one word after the other. Source: Black et
// al., "UMAC: Fast and Secure Message Authentication", 1999.
constexpr size_t kBlockSize = 1024;
constexpr size_t kPairSize = 2 * sizeof(uint64_t);
constexpr size_t kBlockWords = kBlockSize / sizeof(uint64_t);

// One secret for each word of a block, and four to fold a sum to 64 bits.
using Secrets = std::array<uint64_t, kBlockWords + 4>;

// Two random numbers of the system, expanded with SplitMix64: on virtual machines each number of
// the system may trap. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
// Generators", 2014.
const Secrets& ProcessSecrets() {
  static const Secrets secrets = [] {
    std::random_device device;
    uint64_t state = static_cast<uint64_t>(device()) << 32 | device();
    Secrets drawn;
    for (uint64_t& secret : drawn) {
      state += 0x9E3779B97F4A7C15u;
      uint64_t mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9u;
      mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
      secret = mixed ^ mixed >> 31;
    }
    return drawn;
  }();
  return secrets;
}

// A number of 128 bits, modulo 2^128.
#if defined(__SIZEOF_INT128__)

__extension__ using Wide = unsigned __int128;

inline Wide Multiply(uint64_t a, uint64_t b) { return static_cast<Wide>(a) * b; }
inline uint64_t High(Wide number) { return static_cast<uint64_t>(number >> 64); }
inline uint64_t Low(Wide number) { return static_cast<uint64_t>(number); }

#else

struct Wide {
  uint64_t low = 0;
  uint64_t high = 0;
  Wide& operator+=(const Wide& other) {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
    return *this;
  }
};

inline Wide Multiply(uint64_t a, uint64_t b) { return {a * b, __umulh(a, b)}; }
inline uint64_t High(const Wide& number) { return number.high; }
inline uint64_t Low(const Wide& number) { return number.low; }

#endif

inline uint64_t LoadWord(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// At most kBlockSize bytes.
Wide HashBlock(std::string_view block, const Secrets& secrets) {
  Wide sum{};
  const char* p = block.data();
  const uint64_t* secret = secrets.data();
  size_t left = block.size();
  for (; left >= kPairSize; left -= kPairSize, p += kPairSize, secret += 2) {
    sum += Multiply(LoadWord(p) + secret[0], LoadWord(p + sizeof(uint64_t)) + secret[1]);
  }
  if (left > 0) {
    char last[kPairSize] = {};
    std::memcpy(last, p, left);
    sum += Multiply(LoadWord(last) + secret[0], LoadWord(last + sizeof(uint64_t)) + secret[1]);
  }
  return sum;
}

uint64_t Fold(Wide number, uint64_t salt, const uint64_t* secrets) {
  const Wide product = Multiply((Low(number) ^ salt) + secrets[0], High(number) + secrets[1]);
  return High(product) ^ Low(product);
}

// `kind` makes the hashes of texts of different encodings with the same bytes differ.
uint64_t Hash(std::string_view bytes, uint64_t kind) {
  const Secrets& secrets = ProcessSecrets();
  const uint64_t* const fold_secrets = secrets.data() + kBlockWords;
  // Includes the length, because the last pair is padded with zeros.
  uint64_t hash =
      Fold(Multiply(bytes.size() + fold_secrets[2], kind + fold_secrets[3]), 0, fold_secrets);
  do {
    const std::string_view block = bytes.substr(0, kBlockSize);
    hash = Fold(HashBlock(block, secrets), hash, fold_secrets);
    bytes.remove_prefix(block.size());
  } while (!bytes.empty());
  return hash == 0 ? 1 : hash;
}

enum Kind : uint64_t { kAscii = 1, kWide = 2, kBytes = 3 };

std::string_view BytesOf(const std::u16string& text) {
  return {reinterpret_cast<const char*>(text.data()), text.size() * sizeof(char16_t)};
}

// Ids are shorter. Texts that differ only later collide, and callers compare them anyway.
constexpr size_t kCaselessSize = 128;
// The bit that distinguishes lower from upper case. Setting it in every byte is faster than folding
// only A-Z.
constexpr uint64_t kCaseBits = 0x2020202020202020u;

uint64_t HashWithoutCaseBits(std::string_view bytes, uint64_t kind) {
  std::array<char, kCaselessSize> folded{};
  const size_t size = bytes.size() < folded.size() ? bytes.size() : folded.size();
  std::memcpy(folded.data(), bytes.data(), size);
  for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
    const uint64_t word = LoadWord(folded.data() + i) | kCaseBits;
    std::memcpy(folded.data() + i, &word, sizeof(word));
  }
  return Hash({folded.data(), size}, kind);
}

}  // namespace

uint64_t HashAscii(std::string_view text) { return Hash(text, kAscii); }

uint64_t HashBytes(std::string_view bytes) { return Hash(bytes, kBytes); }

uint64_t HashText(const JsonText& text) {
  if (text.is_ascii()) return HashAscii(text.ascii());
  return Hash(BytesOf(text.wide()), kWide);
}

uint64_t HashAsciiIgnoringCase(std::string_view text) { return HashWithoutCaseBits(text, kAscii); }

uint64_t HashIgnoringCase(const JsonText& text) {
  if (text.is_ascii()) return HashAsciiIgnoringCase(text.ascii());
  return HashWithoutCaseBits(BytesOf(text.wide()), kWide);
}

}  // namespace stc
