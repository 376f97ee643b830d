// CaselessText: a text of a query that is compared with many texts of a cache, ignoring the case of
// A-Z. Immutable.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_CASELESS_TEXT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_CASELESS_TEXT_H_

#include <string>
#include <string_view>

#include "json/json_text.h"

namespace stc {

// Converts A-Z to lower case.
inline char16_t FoldCase(char16_t unit) {
  return unit >= u'A' && unit <= u'Z' ? static_cast<char16_t>(unit + 32) : unit;
}

class CaselessText {
 public:
  explicit CaselessText(std::u16string text);
  explicit CaselessText(const JsonText& text);

  bool is_ascii() const { return is_ascii_; }
  bool Equals(std::string_view ascii) const;
  bool Equals(const JsonText& text) const;

 private:
  std::u16string text_;
  // The same text if is_ascii(), else empty.
  std::string ascii_;
  bool is_ascii_ = true;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_CASELESS_TEXT_H_
