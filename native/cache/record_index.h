// RecordIndex: finds the record that was kept under a key of one section, so that a later record of
// the same key can take its place, as in JSON.parse. Keys are known by a seeded 64-bit hash:
// whoever writes a cache cannot make them collide on purpose.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_INDEX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace stc {

class RecordIndex {
 public:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  // Where the record of that key is, or kNone.
  uint32_t Find(uint64_t key_hash) const {
    return slots_.empty() ? kNone : slots_[SlotOf(key_hash)].record;
  }

  // Says that the record of that key is now `record`.
  void Put(uint64_t key_hash, uint32_t record) {
    if ((used_ + 1) * 2 > slots_.size()) Grow();
    Slot& slot = slots_[SlotOf(key_hash)];
    if (slot.key_hash == 0) ++used_;
    slot = {key_hash, record};
  }

  void Clear() {
    slots_.clear();
    used_ = 0;
  }

 private:
  struct Slot {
    uint64_t key_hash = 0;  // 0: free
    uint32_t record = kNone;
  };

  size_t SlotOf(uint64_t key_hash) const {
    size_t i = key_hash & (slots_.size() - 1);
    while (slots_[i].key_hash != 0 && slots_[i].key_hash != key_hash) {
      i = (i + 1) & (slots_.size() - 1);
    }
    return i;
  }

  void Grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.key_hash != 0) slots_[SlotOf(slot.key_hash)] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_INDEX_H_
