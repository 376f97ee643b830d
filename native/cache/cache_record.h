// CacheRecord: the fields of one record of MSAL's cache that anybody asks for, as spans of its
// text.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/caseless_text.h"
#include "json/json_reader.h"
#include "json/json_text.h"

namespace stc {

// Source: MSAL for Node and Python, unified cache schema; userAssertionHash and
// requestedClaims(Hash): MSAL for Node, ext_cache_key: MSAL for Python.
enum class Field : uint8_t {
  kHomeAccountId,
  kEnvironment,
  kClientId,
  kSecret,
  kTarget,
  kRealm,
  kFamilyId,
  kUsername,
  kLocalAccountId,
  kAuthorityType,
  kTokenType,
  kCachedAt,
  kExpiresOn,
  kRefreshOn,
  kLastModificationTime,
  kUserAssertionHash,
  kKeyId,
  kExtCacheKey,
  kRequestedClaims,
  kRequestedClaimsHash,
  kCount,
};

// kCount for a name that nobody asks for.
Field FindField(std::string_view name);

// To be used for one record after the other: it learns in what order their fields come.
class CacheRecord {
 public:
  // Reads the object that begins at the next byte. Needs a mark; the record holds until the mark is
  // moved. False as the reader's methods.
  bool Read(JsonReader* reader);

  bool IsString(Field field) const { return (strings_ & Bit(field)) != 0; }
  bool IsNonEmptyString(Field field) const { return IsString(field) && span(field).size > 0; }

  // The value of a string field.
  JsonText Text(const JsonReader& reader, Field field) const;
  // The value of a field that may be missing or no string.
  std::optional<JsonText> OptionalText(const JsonReader& reader, Field field) const;
  // False if the field is missing or no string.
  bool Equals(const JsonReader& reader, Field field, const CaselessText& other) const;
  // Of the value of a string field. See text_hash.h.
  uint64_t HashIgnoringCase(const JsonReader& reader, Field field) const;
  // Unix seconds: a string of 1 to 15 digits, or a number with an integer value from 0 to 1e15.
  std::optional<double> Time(const JsonReader& reader, Field field) const;
  // A family id: a string that is not empty, or a number as in Time, as its digits.
  std::optional<JsonText> FamilyId(const JsonReader& reader) const;

 private:
  // A field's name as it stood in an earlier record, with all from there to its value: quotation
  // marks, colon and white space. Comparing that costs less than reading it again.
  struct KnownName {
    std::string text;
    Field field = Field::kCount;
  };

  static uint32_t Bit(Field field) { return uint32_t{1} << static_cast<unsigned>(field); }
  const JsonSpan& span(Field field) const { return spans_[static_cast<size_t>(field)]; }
  bool ReadName(JsonReader* reader, size_t ordinal, Field* field);

  // One bit for each field whose value is a string, and a number.
  uint32_t strings_ = 0;
  uint32_t numbers_ = 0;
  // Of no meaning but for those.
  std::array<JsonSpan, static_cast<size_t>(Field::kCount)> spans_;
  // The name of the first field, the second and so on; without text where none is known.
  std::vector<KnownName> known_names_;
};

static_assert(static_cast<size_t>(Field::kCount) <= 32, "a bit for each field");

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_H_
