// AccountSelection: the accounts of a cache whose secrets a scan returns.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_SELECTION_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_SELECTION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "cache/cache_scanner.h"
#include "json/caseless_text.h"
#include "json/json_text.h"

namespace stc {

// The account that the query names, or those that match its hints. Not thread-safe.
class AccountSelection {
 public:
  explicit AccountSelection(const CacheQuery& query);

  // The account that the query names.
  const std::optional<CaselessText>& named_account() const { return home_account_id_; }

  // Selects an account of the cache if it matches the hints. If more than kMaxAccountsWithSecrets
  // do, none is selected. Returns false if no further account can change the selection.
  bool Add(const AccountEntry& account);

  // Compares the hashes of text_hash.h only, so that a collision may return true.
  bool MayHave(uint64_t account_hash) const;
  bool Has(const JsonText& home_account_id) const;

 private:
  bool MatchesHints(const AccountEntry& account) const;

  std::optional<CaselessText> home_account_id_;
  std::optional<CaselessText> username_;
  std::optional<CaselessText> home_tenant_id_;
  std::vector<CaselessText> accounts_;
  std::vector<uint64_t> account_hashes_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_ACCOUNT_SELECTION_H_
