// SecureText: text that grows and holds secrets. Wiped on destruction; movable, not copyable, not
// thread-safe.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_SECURE_TEXT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_SECURE_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "base/secure_bytes.h"

namespace stc {

class SecureText {
 public:
  std::string_view view() const { return bytes_.view().substr(0, size_); }

  void Append(std::string_view text);
  // As JSON.stringify writes it, with its quotation marks. `text` may hold lone surrogates.
  void AppendString(const std::u16string& text);

  // Gives the text away.
  SecureBytes Take();

 private:
  SecureBytes bytes_;
  size_t size_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_SECURE_TEXT_H_
