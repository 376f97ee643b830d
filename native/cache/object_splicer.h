// ObjectSplicer: removes members from one JSON object and adds new ones. cache_editor.h documents
// the exact output.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_OBJECT_SPLICER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_OBJECT_SPLICER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/secure_bytes.h"

namespace stc {

// Replaces the bytes from `begin` to `end` by `text`.
struct Splice {
  uint64_t begin = 0;
  uint64_t end = 0;
  SecureBytes text;
};

// Not thread-safe.
class ObjectSplicer {
 public:
  // `inside`: the offset behind the object's `{`. Appends to `splices` in the order of offsets.
  ObjectSplicer(uint64_t inside, std::vector<Splice>* splices)
      : inside_(inside), splices_(splices) {}

  // Call one of these for each member, in order. `begin`: the opening quotation mark of the name.
  // `end`: behind the value.
  void Keep(uint64_t begin, uint64_t end);
  void Remove(uint64_t begin, uint64_t end);

  // Call once, after all members. `added`: the new members, each as `,"name":value`.
  void Finish(std::string_view added);

 private:
  const uint64_t inside_;
  std::vector<Splice>* const splices_;
  bool has_kept_ = false;
  uint64_t kept_end_ = 0;
  // Whether members were removed since the last kept one, and their range.
  bool is_removing_ = false;
  uint64_t removed_begin_ = 0;
  uint64_t removed_end_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_OBJECT_SPLICER_H_
