// RecordMatcher: tells whether a record is one that an edit looks for. The rules are those of
// MatchField in src/backend/backend.ts. Immutable.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_MATCHER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_MATCHER_H_

#include <string>
#include <vector>

#include "cache/cache_editor.h"
#include "cache/cache_record.h"
#include "json/caseless_text.h"
#include "json/json_reader.h"
#include "json/json_text.h"

namespace stc {

class RecordMatcher {
 public:
  explicit RecordMatcher(const std::vector<RecordEdit::Condition>& conditions);

  // False if there are no conditions.
  bool Matches(const CacheRecord& record, const JsonReader& reader) const;

 private:
  // In lower case, sorted, each once.
  using Scopes = std::vector<std::u16string>;

  struct Condition {
    Field field;
    // Whether the empty text is among the values.
    bool takes_empty = false;
    std::vector<CaselessText> texts;
    // In place of `texts` for a secret.
    std::vector<JsonText> secrets;
    // Besides `texts`, for a target.
    std::vector<Scopes> targets;
  };

  template <typename Text>
  static Scopes ScopesOf(const Text& target);
  static bool Holds(const Condition& condition, const CacheRecord& record,
                    const JsonReader& reader);

  std::vector<Condition> conditions_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_RECORD_MATCHER_H_
