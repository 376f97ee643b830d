// AccountCheck: tells whether a cache still has the account that a change requires. In a header,
// because the editor calls it for every account.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_CHECK_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cache/cache_record.h"
#include "cache/record_edit.h"
#include "cache/record_index.h"
#include "json/caseless_text.h"
#include "json/json_reader.h"

namespace stc {

// Not thread-safe.
class AccountCheck {
 public:
  explicit AccountCheck(const CacheChange::Account& account)
      : home_account_id_(account.home_account_id) {
    for (const std::u16string& environment : account.environments) {
      environments_.emplace_back(environment);
    }
  }

  bool passes() const { return count_ > 0; }

  void Clear() {
    index_.Clear();
    count_ = 0;
  }

  void Supersede(uint64_t key_hash) {
    if (index_.Find(key_hash) != kThere) return;
    index_.Put(key_hash, kGone);
    --count_;
  }

  void Read(uint64_t key_hash, const CacheRecord& record, const JsonReader& reader) {
    if (!record.Equals(reader, Field::kHomeAccountId, home_account_id_)) return;
    for (const CaselessText& environment : environments_) {
      if (!record.Equals(reader, Field::kEnvironment, environment)) continue;
      index_.Put(key_hash, kThere);
      ++count_;
      return;
    }
  }

 private:
  static constexpr uint32_t kGone = 0;
  static constexpr uint32_t kThere = 1;

  const CaselessText home_account_id_;
  std::vector<CaselessText> environments_;
  // By key hash: kThere or kGone.
  RecordIndex index_;
  size_t count_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_CHECK_H_
