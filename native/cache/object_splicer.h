// ObjectSplicer: takes members out of one JSON object and puts new ones in. What comes of it is
// what cache_editor.h promises.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_OBJECT_SPLICER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_OBJECT_SPLICER_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/secure_bytes.h"

namespace stc {

// The bytes from `begin` to `end` give way to `text`.
struct Splice {
  uint64_t begin = 0;
  uint64_t end = 0;
  SecureBytes text;
};

// Not thread-safe.
class ObjectSplicer {
 public:
  // `inside`: the offset of the byte behind the `{`. Splices are added to `splices`, in the order
  // of their offsets.
  ObjectSplicer(uint64_t inside, std::vector<Splice>* splices)
      : inside_(inside), splices_(splices) {}

  // One of the two for each member, from front to back: from `begin`, the quotation mark of its
  // name, to `end`, behind its value.
  void Keep(uint64_t begin, uint64_t end);
  void Remove(uint64_t begin, uint64_t end);

  // Once, after those. `added`: the new members, each as `,"name":value`.
  void Finish(std::string_view added);

 private:
  const uint64_t inside_;
  std::vector<Splice>* const splices_;
  bool has_kept_ = false;
  uint64_t kept_end_ = 0;
  // The members that go since the last one that stays.
  bool is_removing_ = false;
  uint64_t removed_begin_ = 0;
  uint64_t removed_end_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_OBJECT_SPLICER_H_
