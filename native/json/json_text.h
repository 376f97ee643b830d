// JsonText: the value of a JSON string, the same as that of JSON.parse. Holds ASCII as bytes and
// any other text as UTF-16, because escapes can form lone surrogates. Wiped on destruction: most
// values are secrets.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_TEXT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/secure_bytes.h"

namespace stc {

class JsonText {
 public:
  JsonText() = default;
  JsonText(JsonText&& other) noexcept = default;
  JsonText& operator=(JsonText&& other) noexcept = default;
  JsonText(const JsonText&) = delete;
  JsonText& operator=(const JsonText&) = delete;
  ~JsonText() {
    Wipe(ascii_.data(), ascii_.size());
    Wipe(wide_.data(), wide_.size() * sizeof(char16_t));
  }

  // `raw` is the text between the quotes of a well-formed JSON string. `is_plain`: it is ASCII
  // without escapes.
  static JsonText FromRaw(std::string_view raw, bool is_plain);
  static JsonText FromAscii(std::string_view text) { return FromRaw(text, true); }
  static JsonText FromUtf16(std::u16string_view text);
  // The text after the first `offset` code units.
  JsonText From(size_t offset) const;

  bool is_ascii() const { return wide_.empty(); }
  // The text, if is_ascii().
  const std::string& ascii() const { return ascii_; }
  // The text, unless is_ascii().
  const std::u16string& wide() const { return wide_; }

  size_t size() const { return is_ascii() ? ascii_.size() : wide_.size(); }
  bool empty() const { return size() == 0; }
  char16_t operator[](size_t i) const {
    return is_ascii() ? static_cast<unsigned char>(ascii_[i]) : wide_[i];
  }

 private:
  // Moves the text to ascii_ if it is ASCII.
  void Narrow();

  std::string ascii_;
  std::u16string wide_;
};

// Returns whether both have the same code units.
bool Equal(const JsonText& a, const JsonText& b);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_TEXT_H_
