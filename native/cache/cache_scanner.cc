#include "cache/cache_scanner.h"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/account_selection.h"
#include "cache/cache_format.h"
#include "cache/cache_record.h"
#include "cache/record_fetcher.h"
#include "cache/record_index.h"
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

// Matched records of one section. If a key occurs again, the earlier record is dropped.
template <typename Entry>
class Matches {
 public:
  bool empty() const { return entries_.empty(); }

  void Clear() {
    entries_.clear();
    index_.Clear();
  }

  void Drop(uint64_t key_hash) {
    const uint32_t old = index_.Find(key_hash);
    if (old != RecordIndex::kNone) entries_[old].reset();
  }

  void Add(uint64_t key_hash, Entry&& entry) {
    index_.Put(key_hash, static_cast<uint32_t>(entries_.size()));
    entries_.emplace_back(std::move(entry));
  }

  // Calls `take` for each remaining record in file order, until it returns false.
  template <typename Taker>
  bool ForEach(Taker take) {
    for (std::optional<Entry>& entry : entries_) {
      if (entry && !take(&*entry)) return false;
    }
    return true;
  }

 private:
  std::vector<std::optional<Entry>> entries_;
  RecordIndex index_;
};

struct MatchedRefreshToken {
  RefreshTokenEntry entry;
  RecordRange range;
};

struct MatchedAccessToken {
  // Hash of home_account_id. A collision only costs one extra fetch.
  uint64_t account_hash = 0;
  RecordRange range;
};

// A CacheQuery converted once to the form in which it is compared with each record.
struct PreparedQuery {
  explicit PreparedQuery(const CacheQuery& query)
      : client_id(query.client_id), now_sec(query.now_sec) {
    for (const std::u16string& environment : query.environments) {
      environments.emplace_back(environment);
    }
  }

  std::vector<CaselessText> environments;
  CaselessText client_id;
  double now_sec;
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
    if (!is_empty && !ReadSections()) return reader_.status();
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
    // If a section occurs twice, the last one counts, whatever its type.
    Clear(section);
    int next = -1;
    if (!reader_.Peek(&next)) return false;
    if (section == Section::kOther || next != '{') return reader_.SkipValue();
    return ReadMembers(&reader_, [this, section] { return ReadRecord(section); });
  }

  bool ReadRecord(Section section) {
    reader_.Mark();
    JsonSpan key;
    if (!reader_.ReadString(&key)) return false;
    const std::string_view raw = reader_.Marked(key);
    const uint64_t key_hash =
        key.is_plain ? HashAscii(raw) : HashText(JsonText::FromRaw(raw, false));
    int next = -1;
    if (!reader_.Expect(':') || !reader_.Peek(&next)) return false;
    Drop(section, key_hash);
    if (next != '{') {
      reader_.Unmark();
      return reader_.SkipValue();
    }
    // The reader's buffer no longer needs to keep the key.
    reader_.Mark();
    if (!record_.Read(&reader_)) return false;
    if (IsInEnvironment()) Match(section, key_hash);
    reader_.Unmark();
    return true;
  }

  void Clear(Section section) {
    switch (section) {
      case Section::kAccount:
        return accounts_.Clear();
      case Section::kRefreshToken:
        return refresh_tokens_.Clear();
      case Section::kAccessToken:
        return access_tokens_.Clear();
      case Section::kAppMetadata:
        return app_metadata_.Clear();
      case Section::kOther:
        return;
    }
  }

  void Drop(Section section, uint64_t key_hash) {
    switch (section) {
      case Section::kAccount:
        return accounts_.Drop(key_hash);
      case Section::kRefreshToken:
        return refresh_tokens_.Drop(key_hash);
      case Section::kAccessToken:
        return access_tokens_.Drop(key_hash);
      case Section::kAppMetadata:
        return app_metadata_.Drop(key_hash);
      case Section::kOther:
        return;
    }
  }

  void Match(Section section, uint64_t key_hash) {
    switch (section) {
      case Section::kAccount:
        return MatchAccount(key_hash);
      case Section::kRefreshToken:
        return MatchRefreshToken(key_hash);
      case Section::kAccessToken:
        return MatchAccessToken(key_hash);
      case Section::kAppMetadata:
        return MatchAppMetadata(key_hash);
      case Section::kOther:
        return;
    }
  }

  bool IsInEnvironment() const {
    if (!record_.IsNonEmptyString(Field::kEnvironment)) return false;
    if (query_.environments.empty()) return true;
    for (const CaselessText& environment : query_.environments) {
      if (record_.Equals(reader_, Field::kEnvironment, environment)) return true;
    }
    return false;
  }

  RecordRange RangeOfRecord() const { return {reader_.mark_offset(), reader_.SizeSinceMark()}; }

  void MatchAccount(uint64_t key_hash) {
    if (!record_.IsNonEmptyString(Field::kHomeAccountId)) return;
    accounts_.Add(key_hash, {record_.Text(reader_, Field::kHomeAccountId),
                             record_.Text(reader_, Field::kEnvironment),
                             record_.OptionalText(reader_, Field::kRealm),
                             record_.OptionalText(reader_, Field::kLocalAccountId),
                             record_.OptionalText(reader_, Field::kUsername),
                             record_.OptionalText(reader_, Field::kAuthorityType)});
  }

  void MatchRefreshToken(uint64_t key_hash) {
    if (!record_.IsNonEmptyString(Field::kHomeAccountId) ||
        !record_.IsNonEmptyString(Field::kSecret)) {
      return;
    }
    refresh_tokens_.Add(
        key_hash,
        {{record_.Text(reader_, Field::kHomeAccountId), record_.Text(reader_, Field::kEnvironment),
          record_.OptionalText(reader_, Field::kClientId), record_.FamilyId(reader_),
          record_.OptionalText(reader_, Field::kTarget),
          record_.Time(reader_, Field::kLastModificationTime), std::nullopt},
         RangeOfRecord()});
  }

  void MatchAccessToken(uint64_t key_hash) {
    if (!record_.IsNonEmptyString(Field::kHomeAccountId) ||
        !record_.IsNonEmptyString(Field::kSecret) || !record_.IsString(Field::kTarget) ||
        !record_.IsNonEmptyString(Field::kClientId) ||
        !record_.Equals(reader_, Field::kClientId, query_.client_id) ||
        (record_.IsString(Field::kTokenType) &&
         !record_.Equals(reader_, Field::kTokenType, bearer_)) ||
        (selection_.named_account() &&
         !record_.Equals(reader_, Field::kHomeAccountId, *selection_.named_account()))) {
      return;
    }
    const std::optional<double> expires_on = record_.Time(reader_, Field::kExpiresOn);
    if (!expires_on || *expires_on <= query_.now_sec) return;
    // Skip tokens that are bound to an assertion, a key, extra parameters or claims: this query has
    // none of these.
    for (const Field bond : {Field::kUserAssertionHash, Field::kKeyId, Field::kExtCacheKey,
                             Field::kRequestedClaims, Field::kRequestedClaimsHash}) {
      if (record_.IsNonEmptyString(bond)) return;
    }
    access_tokens_.Add(key_hash,
                       {record_.HashIgnoringCase(reader_, Field::kHomeAccountId), RangeOfRecord()});
  }

  void MatchAppMetadata(uint64_t key_hash) {
    if (!record_.IsNonEmptyString(Field::kClientId) ||
        !record_.Equals(reader_, Field::kClientId, query_.client_id)) {
      return;
    }
    app_metadata_.Add(key_hash,
                      {record_.Text(reader_, Field::kEnvironment),
                       record_.Text(reader_, Field::kClientId), record_.FamilyId(reader_)});
  }

  Status Collect(CacheSlice* slice) {
    accounts_.ForEach([this](AccountEntry* account) { return selection_.Add(*account); });
    accounts_.ForEach([slice](AccountEntry* account) {
      slice->accounts.push_back(std::move(*account));
      return true;
    });
    app_metadata_.ForEach([slice](AppMetadataEntry* entry) {
      slice->app_metadata.push_back(std::move(*entry));
      return true;
    });
    std::vector<MatchedRefreshToken*> selected_refresh_tokens;
    refresh_tokens_.ForEach([this, &selected_refresh_tokens](MatchedRefreshToken* match) {
      if (selection_.Has(match->entry.home_account_id)) selected_refresh_tokens.push_back(match);
      return true;
    });
    Status status = ReadAgain(
        selected_refresh_tokens,
        [](MatchedRefreshToken* match, const CacheRecord& record, const JsonReader& reader) {
          match->entry.secret = record.OptionalText(reader, Field::kSecret);
        });
    if (!status.ok()) return status;
    refresh_tokens_.ForEach([slice](MatchedRefreshToken* match) {
      slice->refresh_tokens.push_back(std::move(match->entry));
      return true;
    });
    std::vector<MatchedAccessToken*> selected_access_tokens;
    access_tokens_.ForEach([this, &selected_access_tokens](MatchedAccessToken* match) {
      if (selection_.MayHave(match->account_hash)) selected_access_tokens.push_back(match);
      return true;
    });
    slice->access_tokens.reserve(selected_access_tokens.size());
    return ReadAgain(
        selected_access_tokens, [this, slice](MatchedAccessToken* /*match*/,
                                              const CacheRecord& record, const JsonReader& reader) {
          JsonText home_account_id = record.Text(reader, Field::kHomeAccountId);
          if (!selection_.Has(home_account_id)) return;
          slice->access_tokens.push_back(
              {std::move(home_account_id), record.Text(reader, Field::kEnvironment),
               record.Text(reader, Field::kClientId), record.OptionalText(reader, Field::kRealm),
               record.Text(reader, Field::kTarget), record.Text(reader, Field::kSecret),
               record.Time(reader, Field::kCachedAt),
               record.Time(reader, Field::kExpiresOn).value_or(0),
               record.Time(reader, Field::kRefreshOn),
               record.NonEmptyText(reader, Field::kRequestedScopes)});
        });
  }

  // Reads matched records again, in file order, and calls `use` with each.
  template <typename Match, typename Use>
  Status ReadAgain(const std::vector<Match*>& matches, Use use) {
    std::vector<RecordRange> ranges;
    ranges.reserve(matches.size());
    for (const Match* match : matches) ranges.push_back(match->range);
    for (size_t i = 0; i < matches.size(); ++i) {
      std::string_view text;
      if (!fetcher_.Find(ranges[i], &text)) {
        Status status = fetcher_.Fetch(ranges, i);
        if (!status.ok()) return status;
        fetcher_.Find(ranges[i], &text);
      }
      JsonReader reader(text);
      reader.Mark();
      // The record was well formed when it was scanned: it has been overwritten since.
      if (!record_.Read(&reader) || !record_.IsNonEmptyString(Field::kSecret)) {
        return Status(StatusCode::kCacheChanged, "fetch", "", 0,
                      "written to while it was read. Stop the program that keeps writing it.");
      }
      use(matches[i], record_, reader);
    }
    return Status::Ok();
  }

  const PreparedQuery query_;
  const CaselessText bearer_{u"bearer"};
  JsonReader reader_;
  CacheRecord record_;
  RecordFetcher fetcher_;
  Matches<AccountEntry> accounts_;
  Matches<MatchedRefreshToken> refresh_tokens_;
  Matches<MatchedAccessToken> access_tokens_;
  Matches<AppMetadataEntry> app_metadata_;
  AccountSelection selection_;
};

}  // namespace

Status ScanCache(ByteSource* source, const CacheQuery& query, CacheSlice* slice) {
  return Scan(source, query).Run(slice);
}

}  // namespace stc
