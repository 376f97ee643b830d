#include "json_text.h"

#include <cstdint>
#include <type_traits>

namespace stc {

namespace {

uint32_t HexValue(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint32_t>(c - '0');
  return static_cast<uint32_t>((c | 0x20) - 'a') + 10;
}

char16_t ReadEscape(std::string_view raw, size_t* i) {
  const char c = raw[(*i)++];
  switch (c) {
    case 'b':
      return u'\b';
    case 'f':
      return u'\f';
    case 'n':
      return u'\n';
    case 'r':
      return u'\r';
    case 't':
      return u'\t';
    case 'u': {
      uint32_t unit = 0;
      for (int digit = 0; digit < 4; ++digit) unit = unit << 4 | HexValue(raw[(*i)++]);
      return static_cast<char16_t>(unit);
    }
    default:
      return static_cast<unsigned char>(c);
  }
}

// Reads one UTF-8 sequence of two to four bytes, known to be well formed.
uint32_t ReadSequence(std::string_view raw, size_t* i) {
  const uint32_t lead = static_cast<unsigned char>(raw[(*i)++]);
  const int rest = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  uint32_t point = lead & (0x3Fu >> rest);
  for (int k = 0; k < rest; ++k) {
    point = point << 6 | (static_cast<unsigned char>(raw[(*i)++]) & 0x3Fu);
  }
  return point;
}

}  // namespace

JsonText JsonText::FromRaw(std::string_view raw, bool is_plain) {
  JsonText text;
  if (is_plain) {
    text.ascii_.assign(raw);
    return text;
  }
  // Never grows: each code unit takes at least one raw byte. A growing string would leave copies
  // behind.
  text.wide_.reserve(raw.size());
  bool is_ascii = true;
  for (size_t i = 0; i < raw.size();) {
    const unsigned char c = static_cast<unsigned char>(raw[i]);
    if (c == '\\') {
      ++i;
      text.wide_.push_back(ReadEscape(raw, &i));
    } else if (c < 0x80) {
      ++i;
      text.wide_.push_back(c);
    } else {
      const uint32_t point = ReadSequence(raw, &i);
      if (point >= 0x10000) {
        text.wide_.push_back(static_cast<char16_t>(0xD7C0 + (point >> 10)));
        text.wide_.push_back(static_cast<char16_t>(0xDC00 + (point & 0x3FF)));
      } else {
        text.wide_.push_back(static_cast<char16_t>(point));
      }
    }
    is_ascii = is_ascii && text.wide_.back() < 0x80;
  }
  if (is_ascii) {
    text.ascii_.reserve(text.wide_.size());
    for (const char16_t unit : text.wide_) text.ascii_.push_back(static_cast<char>(unit));
    Wipe(text.wide_.data(), text.wide_.size() * sizeof(char16_t));
    text.wide_.clear();
  }
  return text;
}

bool Equal(const JsonText& a, const JsonText& b) {
  return a.is_ascii() ? b.is_ascii() && a.ascii() == b.ascii() : a.wide() == b.wide();
}

namespace {

template <typename Text>
bool EqualFolded(const Text& text, std::u16string_view other) {
  if (text.size() != other.size()) return false;
  for (size_t i = 0; i < other.size(); ++i) {
    const char16_t unit = static_cast<std::make_unsigned_t<typename Text::value_type>>(text[i]);
    if (FoldAscii(unit) != FoldAscii(other[i])) return false;
  }
  return true;
}

}  // namespace

bool EqualIgnoringAsciiCase(const JsonText& text, std::u16string_view other) {
  return text.is_ascii() ? EqualFolded(text.ascii(), other) : EqualFolded(text.wide(), other);
}

bool EqualIgnoringAsciiCase(std::string_view ascii, std::u16string_view other) {
  return EqualFolded(ascii, other);
}

bool IsAscii(std::u16string_view text) {
  for (const char16_t unit : text) {
    if (unit >= 0x80) return false;
  }
  return true;
}

}  // namespace stc
