#include "cache/account_selection.h"

#include "json/json_text.h"
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

AccountSelection::AccountSelection(const CacheQuery& query) : lists_all_(query.all_accounts) {
  if (query.home_account_id) {
    home_account_id_.emplace(*query.home_account_id);
    named_account_ = JsonText::FromUtf16(*query.home_account_id);
    chosen_ = HashIgnoringCase(*named_account_);
    return;
  }
  if (query.username) username_.emplace(*query.username);
  if (query.home_tenant_id) home_tenant_id_.emplace(*query.home_tenant_id);
}

bool AccountSelection::Passes(const CacheRecord& record, const JsonReader& reader) const {
  if (home_account_id_) return record.Equals(reader, Field::kHomeAccountId, *home_account_id_);
  if (username_ && !record.Equals(reader, Field::kUsername, *username_)) return false;
  if (!home_tenant_id_) return true;
  const std::optional<JsonText> tenant = HomeTenantOf(record.Text(reader, Field::kHomeAccountId));
  return tenant && home_tenant_id_->Equals(*tenant);
}

void AccountSelection::AddAccount(uint64_t account_hash, bool passes) {
  uint32_t i = index_.Find(account_hash);
  if (i == RecordIndex::kNone) {
    i = static_cast<uint32_t>(accounts_.size());
    index_.Put(account_hash, i);
    accounts_.emplace_back();
  }
  accounts_[i].passes = accounts_[i].passes || passes;
}

void AccountSelection::AddRedeemable(uint64_t account_hash) {
  const uint32_t i = index_.Find(account_hash);
  if (i == RecordIndex::kNone || accounts_[i].is_redeemable) return;
  accounts_[i].is_redeemable = true;
  if (home_account_id_ || !accounts_[i].passes) return;
  candidates_ += 1;
  chosen_ = candidates_ == 1 ? account_hash : 0;
}

void AccountSelection::Finish() {
  if (lists_all_ || accounts_.size() <= kMaxListedAccounts) return;
  left_out_ = accounts_.size() - kMaxListedAccounts;
  for (Account& account : accounts_) account.is_listed = false;
  size_t room = kMaxListedAccounts;
  const auto list = [this, &room](auto is_wanted) {
    for (Account& account : accounts_) {
      if (room == 0) return;
      if (account.is_listed || !is_wanted(account)) continue;
      account.is_listed = true;
      --room;
    }
  };
  list([](const Account& account) { return account.passes && account.is_redeemable; });
  list([](const Account& account) { return account.passes; });
  list([](const Account& /*account*/) { return true; });
}

bool AccountSelection::IsListed(uint64_t account_hash) const {
  const uint32_t i = index_.Find(account_hash);
  return i == RecordIndex::kNone || accounts_[i].is_listed;
}

}  // namespace stc
