#include "cache_record.h"

#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "folded_hash.h"

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
    "userAssertionHash",
    "key_id",
    "ext_cache_key",
    "requestedClaims",
    "requestedClaimsHash",
};
static_assert(sizeof(kFieldNames) / sizeof(kFieldNames[0]) == static_cast<size_t>(Field::kCount));

Field FindField(std::string_view name) {
  for (size_t i = 0; i < static_cast<size_t>(Field::kCount); ++i) {
    if (kFieldNames[i] == name) return static_cast<Field>(i);
  }
  return Field::kCount;
}

// Times and family ids beyond this are nonsense, and doubles are exact below it.
constexpr double kMaxInteger = 1e15;
constexpr size_t kMaxDigits = 15;

bool IsAllDigits(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<double> ReadInteger(std::string_view number) {
  // strtod wants a terminator, and rounds as JSON.parse does.
  const std::string text(number);
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end != text.c_str() + text.size() || !(value >= 0 && value <= kMaxInteger) ||
      value != std::floor(value)) {
    return std::nullopt;
  }
  return value + 0.0;  // -0 becomes 0
}

}  // namespace

bool CacheRecord::Read(JsonReader* reader) {
  values_.fill(Value());
  bool is_done = false;
  if (!reader->Expect('{') || !reader->Take('}', &is_done)) return false;
  while (!is_done) {
    int next = -1;
    if (!reader->Peek(&next)) return false;
    JsonSpan name;
    if (next != '"') return reader->Expect('"');
    if (!reader->ReadString(&name) || !reader->Expect(':') || !reader->Peek(&next)) return false;
    Field field = Field::kCount;
    if (name.is_plain) {
      field = FindField(reader->Marked(name));
    } else {
      const JsonText text = JsonText::FromRaw(reader->Marked(name), false);
      if (text.is_ascii()) field = FindField(text.ascii());
    }
    Value value;
    if (next == '"') {
      value.kind = Kind::kString;
      if (!reader->ReadString(&value.span)) return false;
    } else if (next == '-' || (next >= '0' && next <= '9')) {
      value.kind = Kind::kNumber;
      if (!reader->ReadNumber(&value.span)) return false;
    } else if (!reader->SkipValue()) {
      return false;
    }
    if (field != Field::kCount) values_[static_cast<size_t>(field)] = value;
    bool has_more = false;
    if (!reader->Take(',', &has_more)) return false;
    if (!has_more) {
      if (!reader->Expect('}')) return false;
      is_done = true;
    }
  }
  return true;
}

JsonText CacheRecord::Text(const JsonReader& reader, Field field) const {
  const JsonSpan& span = value(field).span;
  return JsonText::FromRaw(reader.Marked(span), span.is_plain);
}

std::optional<JsonText> CacheRecord::OptionalText(const JsonReader& reader, Field field) const {
  if (!IsString(field)) return std::nullopt;
  return Text(reader, field);
}

bool CacheRecord::EqualsIgnoringCase(const JsonReader& reader, Field field,
                                     std::u16string_view other) const {
  if (!IsString(field)) return false;
  const JsonSpan& span = value(field).span;
  // Nearly always; a copy for each record would cost as much as the scan.
  if (span.is_plain) return EqualIgnoringAsciiCase(reader.Marked(span), other);
  return EqualIgnoringAsciiCase(Text(reader, field), other);
}

uint64_t CacheRecord::HashFolded(const JsonReader& reader, Field field) const {
  const JsonSpan& span = value(field).span;
  if (span.is_plain) return HashFoldedAscii(reader.Marked(span));
  return stc::HashFolded(Text(reader, field));
}

std::optional<double> CacheRecord::Time(const JsonReader& reader, Field field) const {
  const Value& found = value(field);
  if (found.kind == Kind::kMissing) return std::nullopt;
  if (found.kind == Kind::kNumber) return ReadInteger(reader.Marked(found.span));
  const JsonText text = Text(reader, field);
  if (!text.is_ascii() || text.empty() || text.size() > kMaxDigits || !IsAllDigits(text.ascii())) {
    return std::nullopt;
  }
  return ReadInteger(text.ascii());
}

std::optional<JsonText> CacheRecord::FamilyId(const JsonReader& reader) const {
  const Value& found = value(Field::kFamilyId);
  if (found.kind == Kind::kNumber) {
    const std::optional<double> number = ReadInteger(reader.Marked(found.span));
    if (!number) return std::nullopt;
    return JsonText::FromAscii(std::to_string(static_cast<int64_t>(*number)));
  }
  if (!IsNonEmptyString(Field::kFamilyId)) return std::nullopt;
  return Text(reader, Field::kFamilyId);
}

}  // namespace stc
