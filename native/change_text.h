// ParseChange: a change as src/change-text.ts writes it. As text, because to take 200 strings out
// of objects one by one blocks the event loop three times as long: 290 against 82 us for a grant
// that is written back, as often as one follows the other (npm run bench -- --only P9).

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CHANGE_TEXT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CHANGE_TEXT_H_

#include <string_view>

#include "cache_editor.h"

namespace stc {

// `json`: a CacheChange of src/backend.ts. False if it is something else; `*change` is undefined
// then.
bool ParseChange(std::string_view json, CacheChange* change);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CHANGE_TEXT_H_
