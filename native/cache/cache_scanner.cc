#include "cache/cache_scanner.h"

#include <string_view>
#include <utility>

#include "base/secure_bytes.h"
#include "cache/cache_format.h"
#include "cache/cache_record.h"
#include "cache/record_index.h"
#include "io/buffer_pool.h"
#include "json/caseless_text.h"
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

// Offsets of a record in the source. Secrets are fetched after the scan, when the accounts are
// known.
struct Place {
  uint64_t offset = 0;
  size_t size = 0;
};

// Matched records with a gap of at most this many bytes are fetched together, if they fit into one
// buffer. Keys between records are about 200 bytes long.
constexpr uint64_t kMaxGap = 4096;

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
  Place place;
};

struct MatchedAccessToken {
  // Hash of home_account_id. A collision only costs one extra fetch.
  uint64_t account_hash = 0;
  Place place;
};

// A CacheQuery converted once to the form in which it is compared with each record.
struct Wanted {
  explicit Wanted(const CacheQuery& query) : client_id(query.client_id), now_sec(query.now_sec) {
    for (const std::u16string& environment : query.environments) {
      environments.emplace_back(environment);
    }
    if (query.home_account_id) home_account_id.emplace(*query.home_account_id);
    if (query.username) username.emplace(*query.username);
    if (query.home_tenant_id) home_tenant_id.emplace(*query.home_tenant_id);
  }

  std::vector<CaselessText> environments;
  CaselessText client_id;
  double now_sec;
  std::optional<CaselessText> home_account_id;
  std::optional<CaselessText> username;
  std::optional<CaselessText> home_tenant_id;
};

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

class Scan {
 public:
  Scan(ByteSource* source, const CacheQuery& query)
      : source_(source), wanted_(query), reader_(source) {}
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;
  ~Scan() { BufferPool::Return(std::move(fetched_)); }

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
    bool is_done = false;
    if (!reader_.Expect('{') || !reader_.Take('}', &is_done)) return false;
    while (!is_done) {
      int next = -1;
      if (!reader_.Peek(&next)) return false;
      if (next != '"') return reader_.Expect('"');
      reader_.Mark();
      JsonSpan name;
      if (!reader_.ReadString(&name)) return false;
      const JsonText text = JsonText::FromRaw(reader_.Marked(name), name.is_plain);
      const Section section = text.is_ascii() ? FindSection(text.ascii()) : Section::kOther;
      reader_.Unmark();
      if (!reader_.Expect(':') || !ReadSection(section)) return false;
      bool has_more = false;
      if (!reader_.Take(',', &has_more)) return false;
      if (!has_more) {
        if (!reader_.Expect('}')) return false;
        is_done = true;
      }
    }
    return reader_.ExpectEnd();
  }

  bool ReadSection(Section section) {
    // If a section occurs twice, the last one counts, whatever its type.
    Clear(section);
    int next = -1;
    if (!reader_.Peek(&next)) return false;
    if (section == Section::kOther || next != '{') return reader_.SkipValue();
    bool is_done = false;
    if (!reader_.Expect('{') || !reader_.Take('}', &is_done)) return false;
    while (!is_done) {
      if (!ReadRecord(section)) return false;
      reader_.Unmark();
      bool has_more = false;
      if (!reader_.Take(',', &has_more)) return false;
      if (!has_more) {
        if (!reader_.Expect('}')) return false;
        is_done = true;
      }
    }
    return true;
  }

  bool ReadRecord(Section section) {
    int next = -1;
    if (!reader_.Peek(&next)) return false;
    if (next != '"') return reader_.Expect('"');
    reader_.Mark();
    JsonSpan key;
    if (!reader_.ReadString(&key)) return false;
    const std::string_view raw = reader_.Marked(key);
    const uint64_t key_hash =
        key.is_plain ? HashAscii(raw) : HashText(JsonText::FromRaw(raw, false));
    if (!reader_.Expect(':') || !reader_.Peek(&next)) return false;
    Drop(section, key_hash);
    if (next != '{') {
      reader_.Unmark();
      return reader_.SkipValue();
    }
    // The reader's buffer no longer needs to keep the key.
    reader_.Mark();
    if (!record_.Read(&reader_)) return false;
    Match(section, key_hash);
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
    if (!IsInEnvironment()) return;
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
    for (const CaselessText& environment : wanted_.environments) {
      if (record_.Equals(reader_, Field::kEnvironment, environment)) return true;
    }
    return false;
  }

  Place PlaceOfRecord() const { return {reader_.mark_offset(), reader_.SizeSinceMark()}; }

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
         PlaceOfRecord()});
  }

  void MatchAccessToken(uint64_t key_hash) {
    if (!record_.IsNonEmptyString(Field::kHomeAccountId) ||
        !record_.IsNonEmptyString(Field::kSecret) || !record_.IsString(Field::kTarget) ||
        !record_.IsNonEmptyString(Field::kClientId) ||
        !record_.Equals(reader_, Field::kClientId, wanted_.client_id) ||
        (record_.IsString(Field::kTokenType) &&
         !record_.Equals(reader_, Field::kTokenType, bearer_)) ||
        (wanted_.home_account_id &&
         !record_.Equals(reader_, Field::kHomeAccountId, *wanted_.home_account_id))) {
      return;
    }
    const std::optional<double> expires_on = record_.Time(reader_, Field::kExpiresOn);
    if (!expires_on || *expires_on <= wanted_.now_sec) return;
    // Skip tokens that are bound to an assertion, a key, extra parameters or claims: this query has
    // none of these.
    for (const Field bond : {Field::kUserAssertionHash, Field::kKeyId, Field::kExtCacheKey,
                             Field::kRequestedClaims, Field::kRequestedClaimsHash}) {
      if (record_.IsNonEmptyString(bond)) return;
    }
    access_tokens_.Add(key_hash,
                       {record_.HashIgnoringCase(reader_, Field::kHomeAccountId), PlaceOfRecord()});
  }

  void MatchAppMetadata(uint64_t key_hash) {
    if (!record_.IsNonEmptyString(Field::kClientId) ||
        !record_.Equals(reader_, Field::kClientId, wanted_.client_id)) {
      return;
    }
    app_metadata_.Add(key_hash,
                      {record_.Text(reader_, Field::kEnvironment),
                       record_.Text(reader_, Field::kClientId), record_.FamilyId(reader_)});
  }

  // Chooses the accounts whose secrets are returned, unless the query names one.
  void Narrow() {
    if (wanted_.home_account_id) return;
    const bool few = accounts_.ForEach([this](AccountEntry* account) {
      if (!PassesHints(*account) || IsNarrowed(account->home_account_id)) return true;
      if (narrowed_.size() == kMaxAccountsWithSecrets) return false;
      narrowed_.emplace_back(account->home_account_id);
      narrowed_hashes_.push_back(HashIgnoringCase(account->home_account_id));
      return true;
    });
    if (few) return;
    narrowed_.clear();
    narrowed_hashes_.clear();
  }

  bool PassesHints(const AccountEntry& account) const {
    if (wanted_.username) {
      if (!account.username) return false;
      // Case folding of non-ASCII user names is up to the directory: let the caller compare those.
      if (account.username->is_ascii() && wanted_.username->is_ascii() &&
          !wanted_.username->Equals(*account.username)) {
        return false;
      }
    }
    if (!wanted_.home_tenant_id) return true;
    const std::optional<JsonText> tenant = HomeTenantOf(account.home_account_id);
    return tenant && wanted_.home_tenant_id->Equals(*tenant);
  }

  // Compares hashes only, so that a collision may return true.
  bool IsNarrowed(uint64_t account_hash) const {
    if (wanted_.home_account_id) return true;
    for (const uint64_t hash : narrowed_hashes_) {
      if (hash == account_hash) return true;
    }
    return false;
  }

  bool IsNarrowed(const JsonText& home_account_id) const {
    if (wanted_.home_account_id) return wanted_.home_account_id->Equals(home_account_id);
    for (const CaselessText& known : narrowed_) {
      if (known.Equals(home_account_id)) return true;
    }
    return false;
  }

  Status Collect(CacheSlice* slice) {
    Narrow();
    accounts_.ForEach([slice](AccountEntry* account) {
      slice->accounts.push_back(std::move(*account));
      return true;
    });
    app_metadata_.ForEach([slice](AppMetadataEntry* entry) {
      slice->app_metadata.push_back(std::move(*entry));
      return true;
    });
    std::vector<MatchedRefreshToken*> wanted_refresh_tokens;
    refresh_tokens_.ForEach([this, &wanted_refresh_tokens](MatchedRefreshToken* match) {
      if (IsNarrowed(match->entry.home_account_id)) wanted_refresh_tokens.push_back(match);
      return true;
    });
    Status status = ReadAgain(
        wanted_refresh_tokens,
        [](MatchedRefreshToken* match, const CacheRecord& record, const JsonReader& reader) {
          match->entry.secret = record.OptionalText(reader, Field::kSecret);
        });
    if (!status.ok()) return status;
    refresh_tokens_.ForEach([slice](MatchedRefreshToken* match) {
      slice->refresh_tokens.push_back(std::move(match->entry));
      return true;
    });
    std::vector<MatchedAccessToken*> wanted_access_tokens;
    access_tokens_.ForEach([this, &wanted_access_tokens](MatchedAccessToken* match) {
      if (IsNarrowed(match->account_hash)) wanted_access_tokens.push_back(match);
      return true;
    });
    slice->access_tokens.reserve(wanted_access_tokens.size());
    return ReadAgain(
        wanted_access_tokens, [this, slice](MatchedAccessToken* /*match*/,
                                            const CacheRecord& record, const JsonReader& reader) {
          JsonText home_account_id = record.Text(reader, Field::kHomeAccountId);
          if (!IsNarrowed(home_account_id)) return;
          slice->access_tokens.push_back(
              {std::move(home_account_id), record.Text(reader, Field::kEnvironment),
               record.Text(reader, Field::kClientId), record.OptionalText(reader, Field::kRealm),
               record.Text(reader, Field::kTarget), record.Text(reader, Field::kSecret),
               record.Time(reader, Field::kCachedAt),
               record.Time(reader, Field::kExpiresOn).value_or(0),
               record.Time(reader, Field::kRefreshOn)});
        });
  }

  // Reads matched records again, in file order, and calls `use` with each.
  template <typename Match, typename Use>
  Status ReadAgain(const std::vector<Match*>& matches, Use use) {
    for (size_t i = 0; i < matches.size(); ++i) {
      const Place& place = matches[i]->place;
      std::string_view text;
      if (!FindText(place, &text)) {
        Status status = Fetch(place.offset, EndOfRun(matches, i));
        if (!status.ok()) return status;
        text = {fetched_.data(), place.size};
      }
      JsonReader reader(text);
      reader.Mark();
      // The record was well formed when it was scanned: it has been overwritten since.
      if (!record_.Read(&reader) || !record_.IsNonEmptyString(Field::kSecret)) {
        return Status(StatusCode::kCacheChanged, "fetch", "", 0,
                      "written to while it was read. Read it again.");
      }
      use(matches[i], record_, reader);
    }
    return Status::Ok();
  }

  Status Fetch(uint64_t begin, uint64_t end) {
    fetched_begin_ = begin;
    fetched_end_ = end;
    const auto size = static_cast<size_t>(end - begin);
    if (fetched_.size() == 0) fetched_ = BufferPool::Take();
    if (fetched_.size() < size) fetched_.Resize(size);
    return source_->Fetch(begin, size, fetched_.data());
  }

  // Finds the text of a record in memory: in the reader's buffer, which still holds all of a small
  // cache, or in the last fetch.
  bool FindText(const Place& place, std::string_view* text) const {
    if (reader_.FindText(place.offset, place.size, text)) return true;
    if (place.offset < fetched_begin_ || place.offset + place.size > fetched_end_) return false;
    *text = {fetched_.data() + (place.offset - fetched_begin_), place.size};
    return true;
  }

  // Returns the end offset of a fetch that starts at `matches[i]`. The tokens of one account are
  // usually close together, and one system call for each would cost as much as reading the bytes
  // between them.
  template <typename Match>
  static uint64_t EndOfRun(const std::vector<Match*>& matches, size_t i) {
    const uint64_t begin = matches[i]->place.offset;
    uint64_t end = begin + matches[i]->place.size;
    for (++i; i < matches.size(); ++i) {
      const Place& next = matches[i]->place;
      if (next.offset - end > kMaxGap || next.offset + next.size - begin > BufferPool::kBufferSize)
        break;
      end = next.offset + next.size;
    }
    return end;
  }

  ByteSource* const source_;
  const Wanted wanted_;
  const CaselessText bearer_{u"bearer"};
  JsonReader reader_;
  CacheRecord record_;
  SecureBytes fetched_;
  uint64_t fetched_begin_ = 0;
  uint64_t fetched_end_ = 0;
  Matches<AccountEntry> accounts_;
  Matches<MatchedRefreshToken> refresh_tokens_;
  Matches<MatchedAccessToken> access_tokens_;
  Matches<AppMetadataEntry> app_metadata_;
  std::vector<CaselessText> narrowed_;
  std::vector<uint64_t> narrowed_hashes_;
};

}  // namespace

Status ScanCache(ByteSource* source, const CacheQuery& query, CacheSlice* slice) {
  return Scan(source, query).Run(slice);
}

}  // namespace stc
