// Hashes of keys and ids within one process. Seeded, so that whoever writes a cache cannot make
// them collide on purpose. Never 0.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_FOLDED_HASH_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_FOLDED_HASH_H_

#include <cstdint>
#include <string_view>

#include "json_text.h"

namespace stc {

uint64_t HashBytes(std::string_view bytes);

// Equal for texts that differ in the case of A-Z only.
uint64_t HashFolded(const JsonText& text);
uint64_t HashFoldedAscii(std::string_view ascii);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_FOLDED_HASH_H_
