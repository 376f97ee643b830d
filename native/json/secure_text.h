// SecureText: builds text that holds secrets. Wiped on destruction. Movable, not copyable, not
// thread-safe.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_SECURE_TEXT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_SECURE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "base/secure_bytes.h"

namespace stc {

class SecureText {
 public:
  std::string_view view() const { return bytes_.view().substr(0, size_); }

  void Append(std::string_view text);
  // Appends a JSON string, with quotes, as JSON.stringify writes it. `text` may hold lone
  // surrogates.
  void AppendString(const std::u16string& text);

  // Moves the text out.
  SecureBytes Take();

 private:
  SecureBytes bytes_;
  size_t size_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_SECURE_TEXT_H_
