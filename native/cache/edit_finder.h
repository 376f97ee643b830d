// EditFinder: finds the edit of a section that applies to a record. In a header, because the editor
// calls it for every record.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDIT_FINDER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDIT_FINDER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/cache_record.h"
#include "cache/record_edit.h"
#include "cache/record_index.h"
#include "cache/record_matcher.h"
#include "json/json_reader.h"
#include "json/json_text.h"
#include "json/text_hash.h"

namespace stc {

// A RecordEdit converted once to the form in which it is compared with each record.
struct PreparedEdit {
  explicit PreparedEdit(const RecordEdit& wanted) : edit(&wanted), matcher(wanted.match) {
    if (wanted.key) key_hash = HashText(JsonText::FromUtf16(*wanted.key));
    if (!wanted.only_if_secret) return;
    for (const std::u16string& secret : *wanted.only_if_secret) {
      replaceable_secrets.push_back(JsonText::FromUtf16(secret));
    }
  }

  bool may_add() const {
    return edit->key && (edit->action == EditAction::kPut || edit->action == EditAction::kAdd);
  }
  bool writes() const {
    return edit->action == EditAction::kPut || edit->action == EditAction::kUpdate;
  }

  // Whether a record that matches stays as it is.
  bool Keeps(const CacheRecord& record, const JsonReader& reader) const {
    return IsNewer(record, reader) || IsNotOlder(record, reader) || HasOtherSecret(record, reader);
  }
  // Keeps, for a member that is not an object.
  bool KeepsOther() const { return edit->only_if_older.has_value(); }

  const RecordEdit* edit;
  RecordMatcher matcher;
  // 0 means that the edit has no key: HashText never returns 0.
  uint64_t key_hash = 0;
  // Used if the edit has `only_if_secret`.
  std::vector<JsonText> replaceable_secrets;

 private:
  bool IsNewer(const CacheRecord& record, const JsonReader& reader) const {
    if (!edit->unless_newer) return false;
    const std::optional<double> time = record.Time(reader, edit->unless_newer->field);
    return time && *time >= edit->unless_newer->value;
  }

  bool IsNotOlder(const CacheRecord& record, const JsonReader& reader) const {
    if (!edit->only_if_older) return false;
    const std::optional<double> time = record.Time(reader, edit->only_if_older->field);
    return !time || *time >= edit->only_if_older->value;
  }

  bool HasOtherSecret(const CacheRecord& record, const JsonReader& reader) const {
    if (!edit->only_if_secret || !record.IsNonEmptyString(Field::kSecret)) return false;
    const JsonText secret = record.Text(reader, Field::kSecret);
    return std::none_of(replaceable_secrets.begin(), replaceable_secrets.end(),
                        [&secret](const JsonText& other) { return Equal(other, secret); });
  }
};

// Not thread-safe.
class EditFinder {
 public:
  void Add(const RecordEdit& edit) {
    const auto i = static_cast<uint32_t>(edits_.size());
    edits_.emplace_back(edit);
    const PreparedEdit& prepared = edits_.back();
    if (prepared.key_hash != 0 && by_key_.Find(prepared.key_hash) == RecordIndex::kNone) {
      by_key_.Put(prepared.key_hash, i);
    }
    if (edit.match.empty()) return;
    const RecordEdit::Condition* const secret = SecretOf(edit);
    if (secret == nullptr) {
      others_.push_back(i);
      return;
    }
    for (const std::u16string& value : secret->values) {
      const uint64_t hash = HashText(JsonText::FromUtf16(value));
      const uint32_t known = by_secret_.Find(hash);
      const uint32_t list =
          known == RecordIndex::kNone ? static_cast<uint32_t>(lists_.size()) : known;
      if (known == RecordIndex::kNone) {
        by_secret_.Put(hash, list);
        lists_.emplace_back();
      }
      lists_[list].push_back(i);
    }
  }

  const std::vector<PreparedEdit>& edits() const { return edits_; }

  // Returns the first edit that applies to the record, or null.
  const PreparedEdit* Find(uint64_t key_hash, const CacheRecord& record,
                           const JsonReader& reader) const {
    if (edits_.size() <= kFewEdits) {
      for (const PreparedEdit& edit : edits_) {
        if (edit.key_hash == key_hash || edit.matcher.Matches(record, reader)) return &edit;
      }
      return nullptr;
    }
    uint32_t first = by_key_.Find(key_hash);
    if (!lists_.empty() && record.IsNonEmptyString(Field::kSecret)) {
      const uint64_t hash = HashText(record.Text(reader, Field::kSecret));
      const uint32_t list = by_secret_.Find(hash);
      if (list != RecordIndex::kNone) first = FirstOf(lists_[list], first, record, reader);
    }
    return At(FirstOf(others_, first, record, reader));
  }
  // For a member whose value is not an object: only its key can match.
  const PreparedEdit* Find(uint64_t key_hash) const { return At(by_key_.Find(key_hash)); }

 private:
  // Up to this many edits, trying one after the other is faster than hashing the secret.
  static constexpr size_t kFewEdits = 8;

  // Returns the condition on the secret, if no record without a secret can meet it.
  static const RecordEdit::Condition* SecretOf(const RecordEdit& edit) {
    for (const RecordEdit::Condition& condition : edit.match) {
      if (condition.field != Field::kSecret) continue;
      const auto is_empty = [](const std::u16string& value) { return value.empty(); };
      return std::any_of(condition.values.begin(), condition.values.end(), is_empty) ? nullptr
                                                                                     : &condition;
    }
    return nullptr;
  }

  // Returns the first edit of the list that matches and comes before `limit`; otherwise `limit`.
  uint32_t FirstOf(const std::vector<uint32_t>& list, uint32_t limit, const CacheRecord& record,
                   const JsonReader& reader) const {
    for (const uint32_t i : list) {
      if (i >= limit) break;
      if (edits_[i].matcher.Matches(record, reader)) return i;
    }
    return limit;
  }

  const PreparedEdit* At(uint32_t i) const {
    return i == RecordIndex::kNone ? nullptr : &edits_[i];
  }

  std::vector<PreparedEdit> edits_;
  // The first edit of each key.
  RecordIndex by_key_;
  // Lists of the edits that match a secret, by the secret's hash.
  RecordIndex by_secret_;
  std::vector<std::vector<uint32_t>> lists_;
  // All other edits that match fields.
  std::vector<uint32_t> others_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDIT_FINDER_H_
