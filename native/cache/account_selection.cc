#include "cache/account_selection.h"

#include <cstddef>

#include "json/text_hash.h"

namespace stc {

namespace {

// Returns the tenant of a home account id of the form `user.tenant`, otherwise nullopt.
std::optional<JsonText> HomeTenantOf(const JsonText& home_account_id) {
  size_t dots = 0;
  size_t last = 0;
  for (size_t i = 0; i < home_account_id.size(); ++i) {
    if (home_account_id[i] != u'.') continue;
    ++dots;
    last = i;
  }
  if (dots != 1) return std::nullopt;
  return home_account_id.From(last + 1);
}

}  // namespace

AccountSelection::AccountSelection(const CacheQuery& query) {
  if (query.home_account_id) home_account_id_.emplace(*query.home_account_id);
  if (query.username) username_.emplace(*query.username);
  if (query.home_tenant_id) home_tenant_id_.emplace(*query.home_tenant_id);
}

bool AccountSelection::Add(const AccountEntry& account) {
  if (home_account_id_) return false;
  if (!MatchesHints(account) || Has(account.home_account_id)) return true;
  if (accounts_.size() == kMaxAccountsWithSecrets) {
    accounts_.clear();
    account_hashes_.clear();
    return false;
  }
  accounts_.emplace_back(account.home_account_id);
  account_hashes_.push_back(HashIgnoringCase(account.home_account_id));
  return true;
}

bool AccountSelection::MayHave(uint64_t account_hash) const {
  if (home_account_id_) return true;
  for (const uint64_t hash : account_hashes_) {
    if (hash == account_hash) return true;
  }
  return false;
}

bool AccountSelection::Has(const JsonText& home_account_id) const {
  if (home_account_id_) return home_account_id_->Equals(home_account_id);
  for (const CaselessText& account : accounts_) {
    if (account.Equals(home_account_id)) return true;
  }
  return false;
}

bool AccountSelection::MatchesHints(const AccountEntry& account) const {
  if (username_) {
    if (!account.username) return false;
    // Case folding of non-ASCII user names is up to the directory: let the caller compare those.
    if (account.username->is_ascii() && username_->is_ascii() &&
        !username_->Equals(*account.username)) {
      return false;
    }
  }
  if (!home_tenant_id_) return true;
  const std::optional<JsonText> tenant = HomeTenantOf(account.home_account_id);
  return tenant && home_tenant_id_->Equals(*tenant);
}

}  // namespace stc
