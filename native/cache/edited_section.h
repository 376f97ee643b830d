// EditedSection: one section of a cache that a change names, with the edits and what they matched.
// In a header, because the editor calls it for every record.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITED_SECTION_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITED_SECTION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/cache_record.h"
#include "cache/edit_finder.h"
#include "cache/object_splicer.h"
#include "cache/record_edit.h"
#include "cache/record_index.h"
#include "cache/record_writer.h"
#include "json/json_reader.h"
#include "json/json_text.h"
#include "json/secure_text.h"

namespace stc {

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
    finder_.Add(edit);
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
    return finder_.Find(key_hash, record, reader);
  }
  // For a member whose value is not an object: only its key can match.
  const PreparedEdit* FindEdit(uint64_t key_hash) const { return finder_.Find(key_hash); }

  void AddMatch(MatchedRecord&& match) {
    index_.Put(match.key_hash, static_cast<uint32_t>(matches_.size()));
    matches_.push_back(std::move(match));
  }

  void AddMember(const MemberPlace& member) {
    // Without removals, the splicer needs only the last member, behind which it adds.
    if (!has_removals_) members_.clear();
    members_.push_back(member);
  }

  bool IsReadable() const { return finder_.edits().empty() || kind_ != SectionKind::kOther; }

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
    const std::vector<PreparedEdit>& edits = finder_.edits();
    std::vector<bool> has_match(edits.size());
    for (const MatchedRecord& match : matches_) {
      if (match.counts) has_match[static_cast<size_t>(match.edit - edits.data())] = true;
    }
    SecureText added;
    for (size_t i = 0; i < edits.size(); ++i) {
      const PreparedEdit& edit = edits[i];
      if (!edit.may_add() || has_match[i] || HasKey(edit.key_hash)) continue;
      AppendMember(*edit.edit->key, NewRecord(*edit.edit).view(), &added);
      MatchedRecord match;
      match.key_hash = edit.key_hash;
      AddMatch(std::move(match));
    }
    return added;
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
  // Matches keep pointers to its edits. It does not change after the first of them.
  EditFinder finder_;
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
