#include "cache/cache_record.h"

#include <cmath>
#include <cstdlib>
#include <string>

#include "json/text_hash.h"

namespace stc {

namespace {

// In the order of Field.
constexpr std::string_view kFieldNames[] = {
    "home_account_id",
    "environment",
    "client_id",
    "secret",
    "target",
    "realm",
    "family_id",
    "username",
    "local_account_id",
    "authority_type",
    "token_type",
    "cached_at",
    "expires_on",
    "refresh_on",
    "last_modification_time",
    "credential_type",
    "requested_scopes",
    "userAssertionHash",
    "user_assertion_hash",
    "key_id",
    "kid",
    "keyid",
    "ext_cache_key",
    "ext",
    "requestedClaims",
    "requestedClaimsHash",
};
static_assert(sizeof(kFieldNames) / sizeof(kFieldNames[0]) == static_cast<size_t>(Field::kCount));

// Limit for times and family ids. Larger ones are invalid; doubles are exact up to it.
constexpr double kMaxInteger = 1e15;
constexpr size_t kMaxDigits = 15;

bool IsAllDigits(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

// Takes up to 15 digits, so that the result is exact.
double ReadDigits(std::string_view digits) {
  int64_t value = 0;
  for (const char digit : digits) value = value * 10 + (digit - '0');
  return static_cast<double>(value);
}

bool IsTimeText(std::string_view text) {
  return !text.empty() && text.size() <= kMaxDigits && IsAllDigits(text);
}

std::optional<double> ReadInteger(std::string_view number) {
  if (IsTimeText(number)) return ReadDigits(number);
  if (number.empty()) return std::nullopt;
  // strtod needs a terminated string, and rounds as JSON.parse does.
  const std::string text(number);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size() || !(value >= 0 && value <= kMaxInteger) ||
      value != std::floor(value)) {
    return std::nullopt;
  }
  return value + 0.0;  // turns -0 into 0
}

// Limits of the remembered names: above the field count and name length of every MSAL.
constexpr size_t kMaxKnownNames = 32;
constexpr size_t kMaxKnownNameSize = 64;
constexpr size_t kUsualFields = 16;

}  // namespace

Field FindField(std::string_view name) {
  for (size_t i = 0; i < static_cast<size_t>(Field::kCount); ++i) {
    if (kFieldNames[i] == name) return static_cast<Field>(i);
  }
  return Field::kCount;
}

bool CacheRecord::ReadName(JsonReader* reader, size_t ordinal, Field* field) {
  if (ordinal < known_names_.size()) {
    const KnownName& known = known_names_[ordinal];
    if (!known.text.empty() && reader->TakeText(known.text)) {
      *field = known.field;
      return true;
    }
  }
  const size_t begin = reader->SizeSinceMark();
  int next = -1;
  if (!reader->Peek(&next)) return false;
  if (next != '"') return reader->Expect('"');
  JsonSpan name;
  if (!reader->ReadString(&name) || !reader->Expect(':') || !reader->Peek(&next)) return false;
  const std::string_view raw = reader->Marked(name);
  if (!name.is_plain) {
    const JsonText text = JsonText::FromRaw(raw, false);
    *field = text.is_ascii() ? FindField(text.ascii()) : Field::kCount;
    return true;
  }
  *field = FindField(raw);
  const size_t size = reader->SizeSinceMark() - begin;
  if (ordinal < kMaxKnownNames && size <= kMaxKnownNameSize) {
    if (known_names_.empty()) known_names_.reserve(kUsualFields);
    if (ordinal >= known_names_.size()) known_names_.resize(ordinal + 1);
    known_names_[ordinal].text = reader->Marked({begin, size, true});
    known_names_[ordinal].field = *field;
  }
  return true;
}

bool CacheRecord::Read(JsonReader* reader) {
  strings_ = 0;
  others_ = 0;
  bool is_done = false;
  if (!reader->Expect('{') || !reader->Take('}', &is_done)) return false;
  for (size_t ordinal = 0; !is_done; ++ordinal) {
    int next = -1;
    Field field = Field::kCount;
    if (!ReadName(reader, ordinal, &field) || !reader->Peek(&next)) return false;
    uint32_t string_bit = 0;
    uint32_t other_bit = 0;
    JsonSpan span;
    if (next == '"') {
      string_bit = 1;
      if (!reader->ReadString(&span)) return false;
    } else if (next == '-' || (next >= '0' && next <= '9')) {
      other_bit = 1;
      if (!reader->ReadNumber(&span)) return false;
    } else {
      other_bit = next == '{' || next == '[' || next == 't' ? 1 : 0;
      if (!reader->SkipValue()) return false;
    }
    if (field != Field::kCount) {
      // If a field occurs twice, the last one counts, as in JSON.parse.
      const auto shift = static_cast<unsigned>(field);
      strings_ = (strings_ & ~Bit(field)) | string_bit << shift;
      others_ = (others_ & ~Bit(field)) | other_bit << shift;
      spans_[shift] = span;
    }
    bool has_more = false;
    if (!reader->Take(',', &has_more)) return false;
    if (!has_more) {
      if (!reader->Expect('}')) return false;
      is_done = true;
    }
  }
  return true;
}

bool CacheRecord::IsBound() const {
  // The usual case: none of these fields is there, or their values are null.
  static constexpr uint32_t kBonds = ~(Bit(Field::kUserAssertionHash) - 1);
  if ((others_ & kBonds) != 0) return true;
  if ((strings_ & kBonds) == 0) return false;
  for (auto i = static_cast<size_t>(Field::kUserAssertionHash);
       i < static_cast<size_t>(Field::kCount); ++i) {
    if (IsNonEmptyString(static_cast<Field>(i))) return true;
  }
  return false;
}

JsonText CacheRecord::Text(const JsonReader& reader, Field field) const {
  return JsonText::FromRaw(reader.Marked(span(field)), span(field).is_plain);
}

std::optional<JsonText> CacheRecord::OptionalText(const JsonReader& reader, Field field) const {
  if (!IsString(field)) return std::nullopt;
  return Text(reader, field);
}

std::optional<JsonText> CacheRecord::NonEmptyText(const JsonReader& reader, Field field) const {
  if (!IsNonEmptyString(field)) return std::nullopt;
  return Text(reader, field);
}

bool CacheRecord::Equals(const JsonReader& reader, Field field, const CaselessText& other) const {
  if (!IsString(field)) return false;
  // The usual case. Copying the text of each record would take as long as the scan.
  if (span(field).is_plain) return other.Equals(reader.Marked(span(field)));
  return other.Equals(Text(reader, field));
}

uint64_t CacheRecord::HashIgnoringCase(const JsonReader& reader, Field field) const {
  if (span(field).is_plain) return HashAsciiIgnoringCase(reader.Marked(span(field)));
  return stc::HashIgnoringCase(Text(reader, field));
}

std::optional<double> CacheRecord::Time(const JsonReader& reader, Field field) const {
  if ((others_ & Bit(field)) != 0) return ReadInteger(reader.Marked(span(field)));
  if (!IsString(field)) return std::nullopt;
  if (span(field).is_plain) {
    const std::string_view text = reader.Marked(span(field));
    if (!IsTimeText(text)) return std::nullopt;
    return ReadDigits(text);
  }
  const JsonText text = Text(reader, field);
  if (!text.is_ascii() || !IsTimeText(text.ascii())) return std::nullopt;
  return ReadDigits(text.ascii());
}

std::optional<JsonText> CacheRecord::FamilyId(const JsonReader& reader) const {
  if ((others_ & Bit(Field::kFamilyId)) != 0) {
    const std::optional<double> number = ReadInteger(reader.Marked(span(Field::kFamilyId)));
    if (!number) return std::nullopt;
    return JsonText::FromAscii(std::to_string(static_cast<int64_t>(*number)));
  }
  return NonEmptyText(reader, Field::kFamilyId);
}

}  // namespace stc
