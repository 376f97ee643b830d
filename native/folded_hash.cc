#include "folded_hash.h"

#include <cstddef>
#include <cstring>
#include <random>
#include <string>

namespace stc {

namespace {

constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio

uint64_t Seed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return static_cast<uint64_t>(device()) << 32 | device();
  }();
  return seed;
}

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * kMultiplier;
  return hash ^ hash >> 29;
}

// Lower case for each of eight ASCII bytes at once: adds 0x20 to those from 'A' to 'Z', found by
// the carry into the top bit.
uint64_t FoldChunk(uint64_t chunk) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  const uint64_t at_least_a = chunk + (0x80 - 'A') * kOnes;
  const uint64_t beyond_z = chunk + (0x80 - 'Z' - 1) * kOnes;
  const uint64_t is_upper = (at_least_a ^ beyond_z) & (0x80 * kOnes);
  return chunk + (is_upper >> 2);
}

template <typename Fold>
uint64_t Hash(std::string_view bytes, Fold fold) {
  uint64_t hash = Mix(Seed(), bytes.size());
  while (!bytes.empty()) {
    uint64_t chunk = 0;
    const size_t size = bytes.size() < sizeof(chunk) ? bytes.size() : sizeof(chunk);
    std::memcpy(&chunk, bytes.data(), size);
    hash = Mix(hash, fold(chunk));
    bytes.remove_prefix(size);
  }
  return hash == 0 ? 1 : hash;
}

}  // namespace

uint64_t HashBytes(std::string_view bytes) {
  return Hash(bytes, [](uint64_t chunk) { return chunk; });
}

uint64_t HashFoldedAscii(std::string_view ascii) { return Hash(ascii, FoldChunk); }

uint64_t HashFolded(const JsonText& text) {
  if (text.is_ascii()) return HashFoldedAscii(text.ascii());
  std::u16string folded = text.wide();
  for (char16_t& unit : folded) unit = FoldAscii(unit);
  return HashBytes(
      {reinterpret_cast<const char*>(folded.data()), folded.size() * sizeof(char16_t)});
}

}  // namespace stc
