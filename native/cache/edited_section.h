// EditedSection: one section of a cache that a change names, with the edits and what they matched.
// In a header, because the editor calls it for every record.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITED_SECTION_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITED_SECTION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/cache_record.h"
#include "cache/object_splicer.h"
#include "cache/record_edit.h"
#include "cache/record_index.h"
#include "cache/record_matcher.h"
#include "cache/record_writer.h"
#include "json/json_reader.h"
#include "json/json_text.h"
#include "json/secure_text.h"
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
    return IsNewer(record, reader) || HasOtherSecret(record, reader);
  }

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

  bool HasOtherSecret(const CacheRecord& record, const JsonReader& reader) const {
    if (!edit->only_if_secret || !record.IsNonEmptyString(Field::kSecret)) return false;
    const JsonText secret = record.Text(reader, Field::kSecret);
    return std::none_of(replaceable_secrets.begin(), replaceable_secrets.end(),
                        [&secret](const JsonText& other) { return Equal(other, secret); });
  }
};

// A record that an edit applies to.
struct MatchedRecord {
  uint64_t key_hash = 0;
  // Null for a record that AddRecords added.
  const PreparedEdit* edit = nullptr;
  bool is_removed = false;
  // False once a later record with the same key was read.
  bool counts = true;
  std::vector<Splice> splices;
};

// Offsets of one member of an object, from the opening quotation mark of its name to the end of its
// value.
struct MemberPlace {
  uint64_t key_hash = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

enum class SectionKind : uint8_t { kMissing, kNull, kObject, kOther };

// Not thread-safe. If the cache has several sections with this name, the state is
// that of the last one read, as in JSON.parse.
class EditedSection {
 public:
  explicit EditedSection(const std::u16string& name)
      : name_(name), text_(JsonText::FromUtf16(name)) {}

  const std::u16string& name() const { return name_; }
  bool HasName(const JsonText& name) const { return Equal(text_, name); }

  void AddEdit(const RecordEdit& edit) {
    edits_.emplace_back(edit);
    has_removals_ = has_removals_ || edit.action == EditAction::kRemove;
  }

  // Starts a new section with this name and forgets the previous one. Call it before the methods
  // below. `begin`: the offset of the section's value.
  void Begin(uint64_t begin, SectionKind kind) {
    kind_ = kind;
    begin_ = begin;
    matches_.clear();
    index_.Clear();
    members_.clear();
  }
  void End(uint64_t end) { end_ = end; }

  // Drops the match of an earlier record with this key: the last one counts, as in JSON.parse.
  void Supersede(uint64_t key_hash) {
    const uint32_t old = index_.Find(key_hash);
    if (old == RecordIndex::kNone) return;
    matches_[old].counts = false;
    matches_[old].splices.clear();
  }

  // Returns the first edit that applies to the record, or null.
  const PreparedEdit* FindEdit(uint64_t key_hash, const CacheRecord& record,
                               const JsonReader& reader) const {
    for (const PreparedEdit& edit : edits_) {
      if (edit.key_hash == key_hash || edit.matcher.Matches(record, reader)) return &edit;
    }
    return nullptr;
  }
  // For a member whose value is not an object: only its key can match.
  const PreparedEdit* FindEdit(uint64_t key_hash) const {
    for (const PreparedEdit& edit : edits_) {
      if (edit.key_hash == key_hash) return &edit;
    }
    return nullptr;
  }

  void AddMatch(MatchedRecord&& match) {
    index_.Put(match.key_hash, static_cast<uint32_t>(matches_.size()));
    matches_.push_back(std::move(match));
  }

  void AddMember(const MemberPlace& member) {
    // Without removals, the splicer needs only the last member, behind which it adds.
    if (!has_removals_) members_.clear();
    members_.push_back(member);
  }

  bool IsReadable() const { return edits_.empty() || kind_ != SectionKind::kOther; }

  // Appends the changes of this section to `splices`. If the cache has no such section, appends a
  // new one to `new_sections` instead.
  void Finish(std::vector<Splice>* splices, SecureText* new_sections) {
    const SecureText added = AddRecords();
    if (kind_ == SectionKind::kObject) {
      SpliceRecords(added.view(), splices);
      return;
    }
    if (added.view().empty()) return;
    SecureText section;
    section.Append("{");
    section.Append(added.view().substr(1));
    section.Append("}");
    if (kind_ == SectionKind::kNull) {
      splices->push_back({begin_, end_, section.Take()});
    } else {
      AppendMember(name_, section.view(), new_sections);
    }
  }

 private:
  // Returns the new records: one for each edit that may add and matched no record.
  SecureText AddRecords() {
    SecureText added;
    for (const PreparedEdit& edit : edits_) {
      if (!edit.may_add() || HasMatch(edit) || HasKey(edit.key_hash)) continue;
      AppendMember(*edit.edit->key, NewRecord(*edit.edit).view(), &added);
      MatchedRecord match;
      match.key_hash = edit.key_hash;
      AddMatch(std::move(match));
    }
    return added;
  }

  bool HasMatch(const PreparedEdit& edit) const {
    return std::any_of(matches_.begin(), matches_.end(), [&edit](const MatchedRecord& match) {
      return match.counts && match.edit == &edit;
    });
  }

  // Whether the section still has a record with this key after the edits.
  bool HasKey(uint64_t key_hash) const {
    const uint32_t found = index_.Find(key_hash);
    return found != RecordIndex::kNone && matches_[found].counts && !matches_[found].is_removed;
  }

  void SpliceRecords(std::string_view added, std::vector<Splice>* splices) {
    RecordIndex removed;
    for (MatchedRecord& match : matches_) {
      if (!match.counts) continue;
      if (match.is_removed) removed.Put(match.key_hash, 0);
      for (Splice& splice : match.splices) splices->push_back(std::move(splice));
    }
    ObjectSplicer splicer(begin_ + 1, splices);
    for (const MemberPlace& member : members_) {
      // Remove all members with this key. If an earlier duplicate stayed, readers would see it
      // again.
      if (removed.Find(member.key_hash) == RecordIndex::kNone) {
        splicer.Keep(member.begin, member.end);
      } else {
        splicer.Remove(member.begin, member.end);
      }
    }
    splicer.Finish(added);
  }

  const std::u16string name_;
  const JsonText text_;
  // Other objects keep pointers to the elements. It does not change after the first of them.
  std::vector<PreparedEdit> edits_;
  bool has_removals_ = false;

  SectionKind kind_ = SectionKind::kMissing;
  uint64_t begin_ = 0;
  uint64_t end_ = 0;
  std::vector<MatchedRecord> matches_;
  RecordIndex index_;
  std::vector<MemberPlace> members_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITED_SECTION_H_
