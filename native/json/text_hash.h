// Hashes of texts within one process, under a key that is drawn at random: whoever writes a cache
// cannot make two texts collide on purpose. Thread-safe.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_TEXT_HASH_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_TEXT_HASH_H_

#include <cstdint>
#include <string_view>

#include "json/json_text.h"

namespace stc {

// Equal for equal texts, and for no others but by a chance of about 2^-64. Never 0.
uint64_t HashText(const JsonText& text);
// The same of a text that is known to be ASCII.
uint64_t HashAscii(std::string_view text);

// Equal for texts that are the same but for the case of A-Z, and for some others: those that pass
// are to be compared.
uint64_t HashIgnoringCase(const JsonText& text);
// The same of a text that is known to be ASCII.
uint64_t HashAsciiIgnoringCase(std::string_view text);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_TEXT_HASH_H_
