// RecordMatcher: tests whether a record meets the conditions of an edit. The rules are those of
// MatchField in src/backend/backend.ts. Immutable.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_MATCHER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_MATCHER_H_

#include <string>
#include <vector>

#include "cache/cache_record.h"
#include "cache/record_edit.h"
#include "json/caseless_text.h"
#include "json/json_reader.h"
#include "json/json_text.h"

namespace stc {

class RecordMatcher {
 public:
  explicit RecordMatcher(const std::vector<RecordEdit::Condition>& conditions);

  // Returns false if there are no conditions.
  bool Matches(const CacheRecord& record, const JsonReader& reader) const;

 private:
  // In lower case, sorted, without duplicates.
  using Scopes = std::vector<std::u16string>;

  struct Condition {
    Field field;
    // Whether the values include an empty one, which also matches a missing field.
    bool takes_empty = false;
    std::vector<CaselessText> texts;
    // Used instead of `texts` if the field is the secret, which is compared with case.
    std::vector<JsonText> secrets;
    // Used in addition to `texts` if the field holds scopes, which may be in any order.
    std::vector<Scopes> scopes;
  };

  template <typename Text>
  static Scopes ScopesOf(const Text& target);
  static bool Holds(const Condition& condition, const CacheRecord& record,
                    const JsonReader& reader);

  std::vector<Condition> conditions_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_MATCHER_H_
