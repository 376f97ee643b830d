// EditPlan: the result of applying a change to a cache, as parts of the old text and new text.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDIT_PLAN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDIT_PLAN_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/secure_bytes.h"

namespace stc {

// Part of the new cache: `text` if it is not empty, otherwise `size` bytes of the old cache from
// `offset`.
struct EditPiece {
  uint64_t offset = 0;
  uint64_t size = 0;
  SecureBytes text;
};

enum class EditOutcome : uint8_t { kNoAccount, kUnchanged, kChanged };

struct EditPlan {
  // Builds the new cache in memory. `old`: the whole text of the cache that was read for this plan.
  SecureBytes Assemble(std::string_view old) const;

  EditOutcome outcome = EditOutcome::kUnchanged;
  // For kChanged: the parts of the new cache, in order.
  std::vector<EditPiece> pieces;
  // Size of the new cache in bytes.
  uint64_t size = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDIT_PLAN_H_
