#include "cache/cache_scanner.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/account_selection.h"
#include "cache/cache_format.h"
#include "cache/cache_record.h"
#include "cache/record_fetcher.h"
#include "cache/record_matches.h"
#include "json/caseless_text.h"
#include "json/json_members.h"
#include "json/json_reader.h"
#include "json/text_hash.h"

namespace stc {

namespace {

enum class Section { kAccount, kRefreshToken, kAccessToken, kAppMetadata, kOther };

Section FindSection(std::string_view name) {
  if (name == "Account") return Section::kAccount;
  if (name == "RefreshToken") return Section::kRefreshToken;
  if (name == "AccessToken") return Section::kAccessToken;
  if (name == "AppMetadata") return Section::kAppMetadata;
  return Section::kOther;
}

const CaselessText& AccessTokenType() {
  static const CaselessText type(u"AccessToken");
  return type;
}

// A CacheQuery converted once to the form in which it is compared with each record.
struct PreparedQuery {
  explicit PreparedQuery(const CacheQuery& query)
      : client_id(query.client_id),
        now_sec(query.now_sec),
        refresh_token_secrets(query.refresh_token_secrets) {
    for (const std::u16string& environment : query.environments) {
      environments.emplace_back(environment);
    }
  }

  std::vector<CaselessText> environments;
  CaselessText client_id;
  double now_sec;
  bool refresh_token_secrets;
};

class Scan {
 public:
  Scan(ByteSource* source, const CacheQuery& query)
      : query_(query), reader_(source), fetcher_(source, &reader_), selection_(query) {}
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  Status Run(CacheSlice* slice) {
    bool is_empty = false;
    Status status = SniffCache(&reader_, &is_empty);
    if (!status.ok()) return status;
    if (!is_empty && !ReadSections()) return refusal_.ok() ? reader_.status() : refusal_;
    slice->size_bytes = static_cast<double>(reader_.offset());
    return Collect(slice);
  }

 private:
  bool ReadSections() {
    const bool is_read = ReadMembers(&reader_, [this] {
      reader_.Mark();
      JsonSpan name;
      if (!reader_.ReadString(&name)) return false;
      const JsonText text = JsonText::FromRaw(reader_.Marked(name), name.is_plain);
      const Section section = text.is_ascii() ? FindSection(text.ascii()) : Section::kOther;
      reader_.Unmark();
      return reader_.Expect(':') && ReadSection(section);
    });
    return is_read && reader_.ExpectEnd();
  }

  bool ReadSection(Section section) {
    RecordMatches* const matches = MatchesOf(section);
    // If a section occurs twice, the last one counts, whatever its type.
    if (matches != nullptr) matches->Clear();
    int next = -1;
    if (!reader_.Peek(&next)) return false;
    if (matches == nullptr || next != '{') return reader_.SkipValue();
    record_ = RecordOf(section);
    return ReadMembers(&reader_, [this, section, matches] { return ReadRecord(section, matches); });
  }

  bool ReadRecord(Section section, RecordMatches* matches) {
    reader_.Mark();
    JsonSpan key;
    if (!reader_.ReadString(&key)) return false;
    const std::string_view raw = reader_.Marked(key);
    const uint64_t key_hash =
        key.is_plain ? HashAscii(raw) : HashText(JsonText::FromRaw(raw, false));
    int next = -1;
    if (!reader_.Expect(':') || !reader_.Peek(&next)) return false;
    matches->Begin(key_hash);
    if (next != '{') {
      reader_.Unmark();
      return reader_.SkipValue();
    }
    // The reader's buffer no longer needs to keep the key.
    reader_.Mark();
    if (!record_->Read(&reader_)) return false;
    RecordMatch match;
    if (IsInEnvironment() && Matches(section, &match)) {
      match.key_hash = key_hash;
      match.offset = reader_.mark_offset();
      match.size = static_cast<uint32_t>(reader_.SizeSinceMark());
      if (IsAccount())
        match.account_hash = record_->HashIgnoringCase(reader_, Field::kHomeAccountId);
      matches->Add(match);
    }
    reader_.Unmark();
    if (accounts_.size() <= kMaxRecords) return true;
    refusal_ = TooMany("accounts");
    return false;
  }

  // Null for a section that is skipped.
  RecordMatches* MatchesOf(Section section) {
    switch (section) {
      case Section::kAccount:
        return &accounts_;
      case Section::kRefreshToken:
        return &refresh_tokens_;
      case Section::kAccessToken:
        return &access_tokens_;
      case Section::kAppMetadata:
        return &app_metadata_;
      case Section::kOther:
        return nullptr;
    }
    return nullptr;
  }

  CacheRecord* RecordOf(Section section) { return &records_[static_cast<size_t>(section)]; }

  bool IsInEnvironment() const {
    if (!record_->IsNonEmptyString(Field::kEnvironment)) return false;
    if (query_.environments.empty()) return true;
    for (const CaselessText& environment : query_.environments) {
      if (record_->Equals(reader_, Field::kEnvironment, environment)) return true;
    }
    return false;
  }

  // Whether the record of the section is one that the query asks for. `*match`: what Collect needs
  // to know of it.
  bool Matches(Section section, RecordMatch* match) const {
    switch (section) {
      case Section::kAccount:
        match->flag = IsAccount() && selection_.Passes(*record_, reader_);
        return IsAccount();
      case Section::kRefreshToken:
        match->flag = IsRedeemable();
        return IsAccount() && record_->IsNonEmptyString(Field::kSecret);
      case Section::kAccessToken:
        return IsUsableAccessToken();
      case Section::kAppMetadata:
        return IsOfClient();
      case Section::kOther:
        return false;
    }
    return false;
  }

  bool IsAccount() const { return record_->IsNonEmptyString(Field::kHomeAccountId); }

  bool IsOfClient() const {
    return record_->IsNonEmptyString(Field::kClientId) &&
           record_->Equals(reader_, Field::kClientId, query_.client_id);
  }

  bool IsRedeemable() const {
    return record_->FamilyId(reader_) ||
           record_->Equals(reader_, Field::kClientId, query_.client_id);
  }

  bool IsUsableAccessToken() const {
    // First the account, because most tokens belong to others.
    if (!IsAccount() ||
        (selection_.named_account() &&
         !record_->Equals(reader_, Field::kHomeAccountId, *selection_.named_account())) ||
        !IsOfClient() || !record_->IsNonEmptyString(Field::kSecret) ||
        !record_->IsString(Field::kTarget) || record_->IsBound() ||
        (record_->IsNonEmptyString(Field::kCredentialType) &&
         !record_->Equals(reader_, Field::kCredentialType, AccessTokenType())) ||
        (record_->IsString(Field::kTokenType) &&
         !record_->Equals(reader_, Field::kTokenType, bearer_))) {
      return false;
    }
    const std::optional<double> expires_on = record_->Time(reader_, Field::kExpiresOn);
    return expires_on && *expires_on > query_.now_sec &&
           *expires_on <= query_.now_sec + kMaxLifetimeSec;
  }

  Status Collect(CacheSlice* slice) {
    const std::vector<const RecordMatch*> accounts = accounts_.InOrder();
    for (const RecordMatch* match : accounts)
      selection_.AddAccount(match->account_hash, match->flag);
    const std::vector<const RecordMatch*> refresh_tokens = refresh_tokens_.InOrder();
    for (const RecordMatch* match : refresh_tokens) {
      if (match->flag) selection_.AddRedeemable(match->account_hash);
    }
    selection_.Finish();
    slice->chosen_account = selection_.TakeNamedAccount();
    slice->accounts_left_out = static_cast<double>(selection_.left_out());
    Status status = CollectAccounts(Listed(accounts), slice);
    if (status.ok()) status = CollectRefreshTokens(Listed(refresh_tokens), slice);
    if (status.ok()) status = CollectAccessTokens(slice);
    if (status.ok()) status = CollectAppMetadata(slice);
    return status;
  }

  std::vector<const RecordMatch*> Listed(const std::vector<const RecordMatch*>& matches) const {
    std::vector<const RecordMatch*> listed;
    listed.reserve(matches.size());
    for (const RecordMatch* match : matches) {
      if (selection_.IsListed(match->account_hash)) listed.push_back(match);
    }
    return listed;
  }

  Status CollectAccounts(const std::vector<const RecordMatch*>& matches, CacheSlice* slice) {
    slice->accounts.reserve(matches.size());
    return ReadAgain(
        Section::kAccount, matches,
        [this, slice](const RecordMatch& match, const JsonReader& reader) {
          if (match.account_hash == selection_.chosen() && !slice->chosen_account) {
            slice->chosen_account = record_->Text(reader, Field::kHomeAccountId);
            chosen_account_.emplace(*slice->chosen_account);
          }
          slice->accounts.push_back({record_->Text(reader, Field::kHomeAccountId),
                                     record_->Text(reader, Field::kEnvironment),
                                     record_->OptionalText(reader, Field::kRealm),
                                     record_->OptionalText(reader, Field::kLocalAccountId),
                                     record_->OptionalText(reader, Field::kUsername),
                                     record_->OptionalText(reader, Field::kAuthorityType)});
        });
  }

  Status CollectRefreshTokens(const std::vector<const RecordMatch*>& matches, CacheSlice* slice) {
    if (matches.size() > kMaxRecords) return TooMany("refresh tokens");
    slice->refresh_tokens.reserve(matches.size());
    return ReadAgain(
        Section::kRefreshToken, matches,
        [this, slice](const RecordMatch& match, const JsonReader& reader) {
          slice->refresh_tokens.push_back({record_->Text(reader, Field::kHomeAccountId),
                                           record_->Text(reader, Field::kEnvironment),
                                           record_->OptionalText(reader, Field::kClientId),
                                           record_->FamilyId(reader),
                                           record_->OptionalText(reader, Field::kTarget),
                                           record_->Time(reader, Field::kLastModificationTime),
                                           query_.refresh_token_secrets && IsOfChosen(match, reader)
                                               ? record_->OptionalText(reader, Field::kSecret)
                                               : std::nullopt});
        });
  }

  Status CollectAccessTokens(CacheSlice* slice) {
    if (selection_.chosen() == 0) return Status::Ok();
    std::vector<const RecordMatch*> matches;
    for (const RecordMatch* match : access_tokens_.InOrder()) {
      if (match->account_hash == selection_.chosen()) matches.push_back(match);
    }
    if (matches.size() > kMaxRecords) return TooMany("access tokens of one account");
    slice->access_tokens.reserve(matches.size());
    return ReadAgain(
        Section::kAccessToken, matches,
        [this, slice](const RecordMatch& match, const JsonReader& reader) {
          if (!IsOfChosen(match, reader)) return;
          slice->access_tokens.push_back(
              {record_->Text(reader, Field::kHomeAccountId),
               record_->Text(reader, Field::kEnvironment), record_->Text(reader, Field::kClientId),
               record_->OptionalText(reader, Field::kRealm), record_->Text(reader, Field::kTarget),
               record_->Text(reader, Field::kSecret), record_->Time(reader, Field::kCachedAt),
               record_->Time(reader, Field::kExpiresOn).value_or(0),
               record_->Time(reader, Field::kRefreshOn),
               record_->NonEmptyText(reader, Field::kRequestedScopes)});
        });
  }

  Status CollectAppMetadata(CacheSlice* slice) {
    const std::vector<const RecordMatch*> matches = app_metadata_.InOrder();
    if (matches.size() > kMaxRecords) return TooMany("records of one client");
    slice->app_metadata.reserve(matches.size());
    return ReadAgain(Section::kAppMetadata, matches,
                     [this, slice](const RecordMatch& /*match*/, const JsonReader& reader) {
                       slice->app_metadata.push_back({record_->Text(reader, Field::kEnvironment),
                                                      record_->Text(reader, Field::kClientId),
                                                      record_->FamilyId(reader)});
                     });
  }

  // Whether `*record_` belongs to the account whose secrets are returned.
  bool IsOfChosen(const RecordMatch& match, const JsonReader& reader) const {
    if (match.account_hash != selection_.chosen()) return false;
    const std::optional<CaselessText>& chosen =
        selection_.named_account() ? selection_.named_account() : chosen_account_;
    return chosen && record_->Equals(reader, Field::kHomeAccountId, *chosen);
  }

  static Status TooMany(const char* what) {
    return Status(StatusCode::kCacheCorrupt, "scan", "", 0,
                  "too full: more than " + std::to_string(kMaxRecords) + " " + what +
                      ", which no token cache has. Move it away and sign in again.");
  }

  // Reads matched records again, in this order, into `*record_`, and calls `use` with each.
  template <typename Use>
  Status ReadAgain(Section section, const std::vector<const RecordMatch*>& matches, Use use) {
    record_ = RecordOf(section);
    std::vector<RecordRange> ranges;
    for (size_t i = 0; i < matches.size(); ++i) {
      std::string_view text;
      if (!fetcher_.Find(matches[i]->range(), &text)) {
        if (ranges.empty()) {
          ranges.reserve(matches.size());
          for (const RecordMatch* match : matches) ranges.push_back(match->range());
        }
        Status status = fetcher_.Fetch(ranges, i);
        if (!status.ok()) return status;
        fetcher_.Find(ranges[i], &text);
      }
      JsonReader reader(text);
      reader.Mark();
      // The record was well formed when it was scanned: it has been overwritten since.
      if (!record_->Read(&reader)) {
        return Status(StatusCode::kCacheChanged, "fetch", "", 0,
                      "written to while it was read. Stop the program that keeps writing it.");
      }
      use(*matches[i], reader);
    }
    return Status::Ok();
  }

  const PreparedQuery query_;
  const CaselessText bearer_{u"bearer"};
  JsonReader reader_;
  // One for each section, because each remembers the order of its section's field names; and the
  // current one.
  std::array<CacheRecord, static_cast<size_t>(Section::kOther)> records_;
  CacheRecord* record_ = nullptr;
  RecordFetcher fetcher_;
  RecordMatches accounts_;
  RecordMatches refresh_tokens_;
  RecordMatches access_tokens_;
  RecordMatches app_metadata_;
  AccountSelection selection_;
  // The account of selection_.chosen(), unless the query names it.
  std::optional<CaselessText> chosen_account_;
  // Why the cache is refused although it is well formed.
  Status refusal_;
};

}  // namespace

Status ScanCache(ByteSource* source, const CacheQuery& query, CacheSlice* slice) {
  return Scan(source, query).Run(slice);
}

}  // namespace stc
