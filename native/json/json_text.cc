#include "json/json_text.h"

#include <cstdint>

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

// Reads a well-formed UTF-8 sequence of two to four bytes.
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
  // Enough, because each code unit takes at least one raw byte. A string that grows would leave
  // copies in freed memory.
  text.wide_.reserve(raw.size());
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
  }
  text.Narrow();
  return text;
}

JsonText JsonText::FromUtf16(std::u16string_view units) {
  JsonText text;
  text.wide_.assign(units);
  text.Narrow();
  return text;
}

void JsonText::Narrow() {
  for (const char16_t unit : wide_) {
    if (unit >= 0x80) return;
  }
  ascii_.assign(wide_.begin(), wide_.end());
  Wipe(wide_.data(), wide_.size() * sizeof(char16_t));
  wide_.clear();
}

JsonText JsonText::From(size_t offset) const {
  JsonText text;
  if (is_ascii()) {
    text.ascii_ = ascii_.substr(offset);
  } else {
    text.wide_ = wide_.substr(offset);
    text.Narrow();
  }
  return text;
}

bool Equal(const JsonText& a, const JsonText& b) {
  return a.is_ascii() ? b.is_ascii() && a.ascii() == b.ascii() : a.wide() == b.wide();
}

}  // namespace stc
