#include "cache/edit_plan.h"

#include <cstring>

namespace stc {

SecureBytes EditPlan::Assemble(std::string_view old) const {
  SecureBytes bytes(static_cast<size_t>(size));
  size_t done = 0;
  for (const EditPiece& piece : pieces) {
    const std::string_view from =
        piece.text.size() > 0
            ? piece.text.view()
            : old.substr(static_cast<size_t>(piece.offset), static_cast<size_t>(piece.size));
    if (!from.empty()) std::memcpy(bytes.data() + done, from.data(), from.size());
    done += from.size();
  }
  return bytes;
}

}  // namespace stc
