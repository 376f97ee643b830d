// RecordMatches: the records of one section that a scan matched, as places in the text. In a
// header, because the scanner calls it for every record.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_MATCHES_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_MATCHES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "cache/record_fetcher.h"

namespace stc {

struct RecordMatch {
  // 0: a free slot. HashText never returns 0.
  uint64_t key_hash = 0;
  uint64_t offset = 0;
  // Hash of home_account_id. See HashIgnoringCase.
  uint64_t account_hash = 0;
  uint32_t size = 0;
  // What the scan found out. Its meaning is the scanner's.
  bool flag = false;
  // Whether InOrder has returned it.
  bool is_taken = false;

  RecordRange range() const { return {offset, size}; }
};

// Of two records with one key, the later one counts, in the place of the first, as in JSON.parse.
// Takes about 50 bytes for each match and 8 for each other record, whatever the records hold, which
// is less than the smallest of them takes in the text. Not thread-safe.
class RecordMatches {
 public:
  size_t size() const { return size_; }

  void Clear() {
    if (!order_.empty()) *this = RecordMatches();
  }

  // Call this for each record, also for those that do not match. Forgets an earlier record with
  // this key.
  void Begin(uint64_t key_hash) {
    AddToOrder(key_hash);
    if (size_ == 0) return;
    const size_t at = TableIndexOf(key_hash);
    if (table_[at] == kNone) return;
    (*this)[table_[at]].key_hash = 0;
    free_.push_back(table_[at]);
    Erase(at);
    --size_;
  }

  // Adds the record whose key was passed to Begin last.
  void Add(const RecordMatch& match) {
    if ((size_ + 1) * 4 > table_.size() * 3) Grow();
    uint32_t slot = slots_;
    if (free_.empty()) {
      if (slots_ % kBlockSize == 0) blocks_.emplace_back().reserve(kBlockSize);
      blocks_.back().push_back(match);
      ++slots_;
    } else {
      slot = free_.back();
      free_.pop_back();
      (*this)[slot] = match;
    }
    table_[TableIndexOf(match.key_hash)] = slot;
    ++size_;
  }

  // Returns the matches in the order in which their keys first occur in the text. Call it once.
  std::vector<const RecordMatch*> InOrder() {
    std::vector<const RecordMatch*> ordered;
    if (size_ == 0) return ordered;
    ordered.reserve(size_);
    for (const std::vector<uint64_t>& keys : full_orders_) Take(keys, &ordered);
    Take(order_, &ordered);
    return ordered;
  }

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  // Vectors that double would take up to three times the memory while they grow.
  static constexpr size_t kBlockSize = 64;
  static constexpr size_t kFirstOrderBlock = 64;
  static constexpr size_t kLargestOrderBlock = 8192;

  RecordMatch& operator[](uint32_t slot) { return blocks_[slot / kBlockSize][slot % kBlockSize]; }
  const RecordMatch& operator[](uint32_t slot) const {
    return blocks_[slot / kBlockSize][slot % kBlockSize];
  }

  void AddToOrder(uint64_t key_hash) {
    if (order_.size() == order_.capacity()) {
      const size_t size = order_.size();
      if (size > 0) full_orders_.push_back(std::move(order_));
      order_ = std::vector<uint64_t>();
      order_.reserve(std::clamp(size * 2, kFirstOrderBlock, kLargestOrderBlock));
    }
    order_.push_back(key_hash);
  }

  // Appends the matches of these keys that were not taken before.
  void Take(const std::vector<uint64_t>& keys, std::vector<const RecordMatch*>* ordered) {
    for (const uint64_t key_hash : keys) {
      if (ordered->size() == size_) return;
      const uint32_t slot = table_[TableIndexOf(key_hash)];
      if (slot == kNone || (*this)[slot].is_taken) continue;
      (*this)[slot].is_taken = true;
      ordered->push_back(&(*this)[slot]);
    }
  }

  size_t Mask() const { return table_.size() - 1; }

  // Returns the place of the key in the table, or the free place where it belongs.
  size_t TableIndexOf(uint64_t key_hash) const {
    size_t i = key_hash & Mask();
    while (table_[i] != kNone && (*this)[table_[i]].key_hash != key_hash) i = (i + 1) & Mask();
    return i;
  }

  // Frees a place, and moves up those behind it that a search would no longer reach.
  void Erase(size_t gap) {
    for (size_t i = (gap + 1) & Mask(); table_[i] != kNone; i = (i + 1) & Mask()) {
      const size_t wanted = (*this)[table_[i]].key_hash & Mask();
      if (((i - wanted) & Mask()) < ((i - gap) & Mask())) continue;
      table_[gap] = table_[i];
      gap = i;
    }
    table_[gap] = kNone;
  }

  void Grow() {
    const size_t size = table_.empty() ? 16 : table_.size() * 2;
    table_ = std::vector<uint32_t>(size, kNone);
    for (uint32_t slot = 0; slot < slots_; ++slot) {
      const uint64_t key_hash = (*this)[slot].key_hash;
      if (key_hash != 0) table_[TableIndexOf(key_hash)] = slot;
    }
  }

  size_t size_ = 0;
  // Matches in blocks; how many, with those that are free; and those that are free.
  std::vector<std::vector<RecordMatch>> blocks_;
  uint32_t slots_ = 0;
  std::vector<uint32_t> free_;
  // Slots by key hash, with linear probing.
  std::vector<uint32_t> table_;
  // The key hashes of all records, in blocks. The last block is `order_`.
  std::vector<std::vector<uint64_t>> full_orders_;
  std::vector<uint64_t> order_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_MATCHES_H_
