#include "cache/object_splicer.h"

#include <utility>

namespace stc {

void ObjectSplicer::Keep(uint64_t begin, uint64_t end) {
  if (is_removing_) splices_->push_back({removed_begin_, begin, {}});
  is_removing_ = false;
  has_kept_ = true;
  kept_end_ = end;
}

void ObjectSplicer::Remove(uint64_t begin, uint64_t end) {
  if (!is_removing_) removed_begin_ = begin;
  is_removing_ = true;
  removed_end_ = end;
}

void ObjectSplicer::Finish(std::string_view added) {
  if (!is_removing_ && added.empty()) return;
  Splice splice;
  splice.begin = has_kept_ ? kept_end_ : is_removing_ ? removed_begin_ : inside_;
  splice.end = is_removing_ ? removed_end_ : splice.begin;
  if (!has_kept_ && !added.empty()) added.remove_prefix(1);
  splice.text = SecureBytes::CopyOf(added);
  splices_->push_back(std::move(splice));
}

}  // namespace stc
