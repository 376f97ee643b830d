#include "cache/record_matcher.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace stc {

namespace {

bool IsScopes(Field field) { return field == Field::kTarget || field == Field::kRequestedScopes; }

}  // namespace

RecordMatcher::RecordMatcher(const std::vector<RecordEdit::Condition>& conditions) {
  conditions_.reserve(conditions.size());
  for (const RecordEdit::Condition& wanted : conditions) {
    Condition condition;
    condition.field = wanted.field;
    condition.texts.reserve(wanted.values.size());
    for (const std::u16string& value : wanted.values) {
      if (wanted.field == Field::kSecret) {
        condition.secrets.push_back(JsonText::FromUtf16(value));
      } else {
        condition.texts.emplace_back(value);
      }
      bool is_empty = value.empty();
      if (IsScopes(wanted.field)) {
        condition.scopes.push_back(ScopesOf(value));
        is_empty = condition.scopes.back().empty();
      }
      condition.takes_empty = condition.takes_empty || is_empty;
    }
    conditions_.push_back(std::move(condition));
  }
}

bool RecordMatcher::Matches(const CacheRecord& record, const JsonReader& reader) const {
  for (const Condition& condition : conditions_) {
    if (!Holds(condition, record, reader)) return false;
  }
  return !conditions_.empty();
}

bool RecordMatcher::Holds(const Condition& condition, const CacheRecord& record,
                          const JsonReader& reader) {
  const Field field = condition.field;
  if (field == Field::kFamilyId) {
    const std::optional<JsonText> family_id = record.FamilyId(reader);
    if (!family_id) return condition.takes_empty;
    for (const CaselessText& text : condition.texts) {
      if (text.Equals(*family_id)) return true;
    }
    return false;
  }
  if (!record.IsNonEmptyString(field)) return condition.takes_empty;
  if (field == Field::kSecret) {
    const JsonText secret = record.Text(reader, field);
    for (const JsonText& text : condition.secrets) {
      if (Equal(text, secret)) return true;
    }
    return false;
  }
  for (const CaselessText& text : condition.texts) {
    if (record.Equals(reader, field, text)) return true;
  }
  if (!IsScopes(field)) return false;
  const Scopes scopes = ScopesOf(record.Text(reader, field));
  return std::find(condition.scopes.begin(), condition.scopes.end(), scopes) !=
         condition.scopes.end();
}

template <typename Text>
RecordMatcher::Scopes RecordMatcher::ScopesOf(const Text& target) {
  Scopes scopes;
  std::u16string scope;
  for (size_t i = 0; i <= target.size(); ++i) {
    if (i < target.size() && target[i] != u' ') {
      scope.push_back(FoldCase(target[i]));
    } else if (!scope.empty()) {
      scopes.push_back(std::exchange(scope, {}));
    }
  }
  std::sort(scopes.begin(), scopes.end());
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());
  return scopes;
}

}  // namespace stc
