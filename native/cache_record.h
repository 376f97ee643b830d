// CacheRecord: the fields of one record of MSAL's cache that anybody asks for, as spans of its
// text.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "json_reader.h"
#include "json_text.h"

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

class CacheRecord {
 public:
  // Reads the object that begins at the next byte. Needs a mark; the record holds until the mark is
  // moved. False as the reader's methods.
  bool Read(JsonReader* reader);

  bool IsString(Field field) const { return value(field).kind == Kind::kString; }
  bool IsNonEmptyString(Field field) const { return IsString(field) && value(field).span.size > 0; }

  // The value of a string field.
  JsonText Text(const JsonReader& reader, Field field) const;
  // The value of a field that may be missing or no string.
  std::optional<JsonText> OptionalText(const JsonReader& reader, Field field) const;
  bool EqualsIgnoringCase(const JsonReader& reader, Field field, std::u16string_view other) const;
  // See folded_hash.h.
  uint64_t HashFolded(const JsonReader& reader, Field field) const;
  // Unix seconds: a string of 1 to 15 digits, or a number with an integer value from 0 to 1e15.
  std::optional<double> Time(const JsonReader& reader, Field field) const;
  // A family id: a string that is not empty, or a number as in Time, as its digits.
  std::optional<JsonText> FamilyId(const JsonReader& reader) const;

 private:
  enum class Kind : uint8_t { kMissing, kString, kNumber };
  struct Value {
    Kind kind = Kind::kMissing;
    JsonSpan span;
  };

  const Value& value(Field field) const { return values_[static_cast<size_t>(field)]; }

  std::array<Value, static_cast<size_t>(Field::kCount)> values_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_H_
