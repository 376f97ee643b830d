// CacheRecord: one record of an MSAL cache, with its known fields as spans of the text.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_RECORD_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_RECORD_H_

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

// Source: unified cache schema of MSAL for Node and Python. userAssertionHash and
// requestedClaims(Hash) are from MSAL for Node, ext_cache_key is from MSAL for Python,
// user_assertion_hash, kid and ext from MSAL for .NET and Java. requested_scopes is our own.
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
  kCredentialType,
  kRequestedScopes,
  // Fields that bind an access token to something that the caller does not have: an assertion, a
  // key, further parameters, claims. Up to the last one.
  kUserAssertionHash,
  kUserAssertionHashOfNet,
  kKeyId,
  kKid,
  kKeyid,
  kExtCacheKey,
  kExt,
  kRequestedClaims,
  kRequestedClaimsHash,
  kCount,
};

// Returns kCount for any other name.
Field FindField(std::string_view name);

// Reuse one object for all records: it remembers the order of field names, which speeds up Read.
class CacheRecord {
 public:
  // Reads the object at the next byte. Requires a mark on the reader; the fields are valid until
  // that mark moves. Returns false as the reader's methods do.
  bool Read(JsonReader* reader);

  bool IsString(Field field) const { return (strings_ & Bit(field)) != 0; }
  bool IsNonEmptyString(Field field) const { return IsString(field) && span(field).size > 0; }
  // Whether a field binds the token to something. An empty string, null and false do not.
  bool IsBound() const;

  // Value of a field that is a string.
  JsonText Text(const JsonReader& reader, Field field) const;
  // Value of the field, or nullopt if it is missing or not a string.
  std::optional<JsonText> OptionalText(const JsonReader& reader, Field field) const;
  // Value of the field, or nullopt if it is missing, not a string, or empty.
  std::optional<JsonText> NonEmptyText(const JsonReader& reader, Field field) const;
  // Returns false if the field is missing or not a string.
  bool Equals(const JsonReader& reader, Field field, const CaselessText& other) const;
  // Hash of a field that is a string. See text_hash.h.
  uint64_t HashIgnoringCase(const JsonReader& reader, Field field) const;
  // Unix time in seconds, from a string of 1 to 15 digits or an integer from 0 to 1e15. Otherwise
  // nullopt.
  std::optional<double> Time(const JsonReader& reader, Field field) const;
  // Family id, from a non-empty string or an integer as in Time. Otherwise nullopt.
  std::optional<JsonText> FamilyId(const JsonReader& reader) const;

 private:
  // The text of a field's name in an earlier record, up to the start of the value: quotation marks,
  // colon and white space. Comparing this text is cheaper than parsing the name again.
  struct KnownName {
    std::string text;
    Field field = Field::kCount;
  };

  static constexpr uint32_t Bit(Field field) { return uint32_t{1} << static_cast<unsigned>(field); }
  const JsonSpan& span(Field field) const { return spans_[static_cast<size_t>(field)]; }
  bool ReadName(JsonReader* reader, size_t ordinal, Field* field);

  // One bit per field: whether its value is a string, and whether it is a number, an object, an
  // array or `true`.
  uint32_t strings_ = 0;
  uint32_t others_ = 0;
  // Valid only for fields whose bit is set in one of the two. Empty unless the value is a string or
  // a number.
  std::array<JsonSpan, static_cast<size_t>(Field::kCount)> spans_;
  // By the position of the field in the record. An empty text means that the name is not known.
  std::vector<KnownName> known_names_;
};

static_assert(static_cast<size_t>(Field::kCount) <= 32, "a bit for each field");

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_CACHE_RECORD_H_
