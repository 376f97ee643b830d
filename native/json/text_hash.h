// Hashes of texts under a random key of the process, so that the writer of a cache cannot choose
// texts that collide. Thread-safe.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_TEXT_HASH_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_TEXT_HASH_H_

#include <cstdint>
#include <string_view>

#include "json/json_text.h"

namespace stc {

// Equal for equal texts; for different texts with a probability of about 2^-64. Never 0.
uint64_t HashText(const JsonText& text);
// HashText of an ASCII text.
uint64_t HashAscii(std::string_view text);
// The same for bytes that are not decoded.
uint64_t HashBytes(std::string_view bytes);

// Equal for texts that differ only in the case of A-Z, and for some others, so compare texts with
// equal hashes.
uint64_t HashIgnoringCase(const JsonText& text);
// HashIgnoringCase of an ASCII text.
uint64_t HashAsciiIgnoringCase(std::string_view text);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_TEXT_HASH_H_
