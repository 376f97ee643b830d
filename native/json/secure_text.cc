#include "json/secure_text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

namespace stc {

namespace {

bool IsHighSurrogate(char16_t unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool IsLowSurrogate(char16_t unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

std::string_view ShortEscape(char16_t unit) {
  switch (unit) {
    case u'"':
      return "\\\"";
    case u'\\':
      return "\\\\";
    case u'\b':
      return "\\b";
    case u'\f':
      return "\\f";
    case u'\n':
      return "\\n";
    case u'\r':
      return "\\r";
    case u'\t':
      return "\\t";
    default:
      return "";
  }
}

// Writes the UTF-8 form of a code point and returns its size.
size_t Encode(uint32_t point, char* out) {
  if (point < 0x80) {
    out[0] = static_cast<char>(point);
    return 1;
  }
  const size_t size = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
  for (size_t i = size - 1; i > 0; --i) {
    out[i] = static_cast<char>(0x80 | (point & 0x3F));
    point >>= 6;
  }
  static constexpr unsigned char kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  out[0] = static_cast<char>(kLead[size] | point);
  return size;
}

}  // namespace

void SecureText::Append(std::string_view text) {
  if (text.empty()) return;
  if (size_ + text.size() > bytes_.size()) {
    bytes_.Resize(std::max(size_ + text.size(), std::max<size_t>(256, bytes_.size() * 2)));
  }
  std::memcpy(bytes_.data() + size_, text.data(), text.size());
  size_ += text.size();
}

void SecureText::AppendString(const std::u16string& text) {
  Append("\"");
  for (size_t i = 0; i < text.size(); ++i) {
    const char16_t unit = text[i];
    const std::string_view escape = ShortEscape(unit);
    const bool is_pair =
        IsHighSurrogate(unit) && i + 1 < text.size() && IsLowSurrogate(text[i + 1]);
    if (!escape.empty()) {
      Append(escape);
    } else if (unit < 0x20 || ((IsHighSurrogate(unit) || IsLowSurrogate(unit)) && !is_pair)) {
      static constexpr char kHex[] = "0123456789abcdef";
      const char escaped[] = {
          '\\', 'u', kHex[unit >> 12], kHex[unit >> 8 & 15], kHex[unit >> 4 & 15], kHex[unit & 15]};
      Append({escaped, sizeof escaped});
    } else {
      uint32_t point = unit;
      if (is_pair) point = 0x10000 + ((point - 0xD800) << 10) + (text[++i] - 0xDC00u);
      char encoded[4];
      Append({encoded, Encode(point, encoded)});
    }
  }
  Append("\"");
}

SecureBytes SecureText::Take() {
  bytes_.Resize(size_);
  size_ = 0;
  return std::move(bytes_);
}

}  // namespace stc
