// RecordIndex: maps the key of a record to its position, so that a later record with the same key
// can replace it, as in JSON.parse. Keys are stored as 64-bit hashes with a random seed: the writer
// of a cache cannot construct collisions.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_INDEX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace stc {

class RecordIndex {
 public:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  // Returns the position of the record with this key, or kNone.
  uint32_t Find(uint64_t key_hash) const {
    return slots_.empty() ? kNone : slots_[SlotOf(key_hash)].record;
  }

  // Sets the position of the record with this key.
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
    uint64_t key_hash = 0;  // 0: free slot
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

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_INDEX_H_
