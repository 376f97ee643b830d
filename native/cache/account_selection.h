// AccountSelection: the accounts of a cache that a scan returns, and the one whose secrets it
// returns. The rules are those of CacheQuery and CacheSlice in src/backend/backend.ts.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_SELECTION_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_SELECTION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cache/cache_record.h"
#include "cache/cache_scanner.h"
#include "cache/record_index.h"
#include "json/caseless_text.h"
#include "json/json_reader.h"
#include "json/json_text.h"

namespace stc {

// Tells accounts apart by the hashes of HashIgnoringCase, so that two crafted IDs may count as one
// account. Not thread-safe.
class AccountSelection {
 public:
  explicit AccountSelection(const CacheQuery& query);

  // The account that the query names.
  const std::optional<CaselessText>& named_account() const { return home_account_id_; }
  // The same text, which can be taken once.
  std::optional<JsonText> TakeNamedAccount() { return std::move(named_account_); }

  // Whether a record of the section `Account` is one of the account that the query names, or has
  // the hints of the query.
  bool Passes(const CacheRecord& record, const JsonReader& reader) const;

  // Call this for each record of an account, in order.
  void AddAccount(uint64_t account_hash, bool passes);
  // Then call this for each refresh token that the client may redeem.
  void AddRedeemable(uint64_t account_hash);
  // Then call this once.
  void Finish();

  // Hash of the account whose secrets are returned; 0 if there is none.
  uint64_t chosen() const { return chosen_; }
  // Whether the records of this account are returned. Refresh tokens without an account are, too.
  bool IsListed(uint64_t account_hash) const;
  size_t left_out() const { return left_out_; }

 private:
  struct Account {
    bool passes = false;
    bool is_redeemable = false;
    bool is_listed = true;
  };

  const bool lists_all_;
  std::optional<JsonText> named_account_;
  std::optional<CaselessText> home_account_id_;
  std::optional<CaselessText> username_;
  std::optional<CaselessText> home_tenant_id_;
  std::vector<Account> accounts_;
  RecordIndex index_;
  // Accounts that pass and have a refresh token that the client may redeem.
  size_t candidates_ = 0;
  uint64_t chosen_ = 0;
  size_t left_out_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_SELECTION_H_
