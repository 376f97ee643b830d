#include "json/base64.h"

#include <cstddef>
#include <cstdint>

namespace stc {

namespace {

// Returns the value of a digit, or 64 for any other character.
uint32_t DigitValue(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<uint32_t>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<uint32_t>(c - 'a') + 26;
  if (c >= '0' && c <= '9') return static_cast<uint32_t>(c - '0') + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return 64;
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

bool DecodeBase64(std::string_view text, SecureBytes* bytes) {
  text = Trim(text);
  for (int padding = 0; padding < 2 && !text.empty() && text.back() == '='; ++padding) {
    text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return false;
  *bytes = SecureBytes(text.size() * 3 / 4);
  size_t size = 0;
  uint32_t bits = 0;
  int bit_count = 0;
  for (const char c : text) {
    const uint32_t value = DigitValue(c);
    if (value >= 64) return false;
    bits = bits << 6 | value;
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      bytes->data()[size++] = static_cast<char>(bits >> bit_count & 0xFF);
    }
  }
  return true;
}

}  // namespace stc
