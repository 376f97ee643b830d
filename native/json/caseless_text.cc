#include "json/caseless_text.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

namespace stc {

namespace {

char16_t ToUnit(char c) { return static_cast<unsigned char>(c); }
char16_t ToUnit(char16_t unit) { return unit; }

template <typename Text>
bool EqualFolded(const Text& text, std::u16string_view other) {
  if (text.size() != other.size()) return false;
  for (size_t i = 0; i < other.size(); ++i) {
    if (FoldCase(ToUnit(text[i])) != FoldCase(other[i])) return false;
  }
  return true;
}

std::u16string UnitsOf(const JsonText& text) {
  std::u16string units(text.size(), u'\0');
  for (size_t i = 0; i < units.size(); ++i) units[i] = text[i];
  return units;
}

}  // namespace

CaselessText::CaselessText(std::u16string text) : text_(std::move(text)) {
  is_ascii_ = std::all_of(text_.begin(), text_.end(), [](char16_t unit) { return unit < 0x80; });
  if (is_ascii_) ascii_.assign(text_.begin(), text_.end());
}

CaselessText::CaselessText(const JsonText& text) : CaselessText(UnitsOf(text)) {}

bool CaselessText::Equals(std::string_view ascii) const {
  // Nearly always the case is the same, too, so compare the bytes first.
  return is_ascii_ && (ascii == ascii_ || EqualFolded(ascii, text_));
}

bool CaselessText::Equals(const JsonText& text) const {
  return text.is_ascii() ? Equals(std::string_view(text.ascii())) : EqualFolded(text.wide(), text_);
}

}  // namespace stc
