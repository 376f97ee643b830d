#include "cache/cache_editor.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/cache_format.h"
#include "cache/object_splicer.h"
#include "cache/record_index.h"
#include "cache/record_matcher.h"
#include "cache/record_writer.h"
#include "json/caseless_text.h"
#include "json/json_members.h"
#include "json/json_reader.h"
#include "json/json_text.h"
#include "json/secure_text.h"
#include "json/text_hash.h"

namespace stc {

namespace {

// A RecordEdit converted once to the form in which it is compared with each record.
struct PreparedEdit {
  explicit PreparedEdit(const RecordEdit& wanted) : edit(&wanted), matcher(wanted.match) {
    if (wanted.key) key_hash = HashText(JsonText::FromUtf16(*wanted.key));
  }

  bool may_add() const {
    return edit->key && (edit->action == EditAction::kPut || edit->action == EditAction::kAdd);
  }
  bool writes() const {
    return edit->action == EditAction::kPut || edit->action == EditAction::kUpdate;
  }

  const RecordEdit* edit;
  RecordMatcher matcher;
  // 0 means that the edit has no key: HashText never returns 0.
  uint64_t key_hash = 0;
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

// A section that the change names. If the cache has several sections with this name, the state is
// that of the last one read, as in JSON.parse.
class Section {
 public:
  explicit Section(const std::u16string& name) : name_(name), text_(JsonText::FromUtf16(name)) {}

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

// Checks that the cache still has the account that the change requires.
class AccountCheck {
 public:
  explicit AccountCheck(const CacheChange::Account& account)
      : home_account_id_(account.home_account_id) {
    for (const std::u16string& environment : account.environments) {
      environments_.emplace_back(environment);
    }
  }

  bool passes() const { return count_ > 0; }

  void Clear() {
    index_.Clear();
    count_ = 0;
  }

  void Supersede(uint64_t key_hash) {
    if (index_.Find(key_hash) != kThere) return;
    index_.Put(key_hash, kGone);
    --count_;
  }

  void Read(uint64_t key_hash, const CacheRecord& record, const JsonReader& reader) {
    if (!record.Equals(reader, Field::kHomeAccountId, home_account_id_)) return;
    for (const CaselessText& environment : environments_) {
      if (!record.Equals(reader, Field::kEnvironment, environment)) continue;
      index_.Put(key_hash, kThere);
      ++count_;
      return;
    }
  }

 private:
  static constexpr uint32_t kGone = 0;
  static constexpr uint32_t kThere = 1;

  const CaselessText home_account_id_;
  std::vector<CaselessText> environments_;
  // By key hash: kThere or kGone.
  RecordIndex index_;
  size_t count_ = 0;
};

class Editor {
 public:
  Editor(ByteSource* source, const CacheChange& change) : reader_(source) {
    for (const RecordEdit& edit : change.edits) SectionOf(edit.section)->AddEdit(edit);
    if (change.required_account) {
      account_.emplace(*change.required_account);
      account_section_ = SectionOf(u"Account");
    }
  }

  Status Run(EditPlan* plan) {
    bool is_empty = false;
    Status status = SniffCache(&reader_, &is_empty);
    if (!status.ok()) return status;
    uint64_t inside = 0;
    MemberPlace last_section;
    if (!is_empty && !ReadRoot(&inside, &last_section)) return reader_.status();
    if (account_ && !account_->passes()) {
      plan->outcome = EditOutcome::kNoAccount;
      return Status::Ok();
    }
    for (const std::unique_ptr<Section>& section : sections_) {
      if (section->IsReadable()) continue;
      return Status(
          StatusCode::kCacheCorrupt, "edit", "", 0,
          "not a token cache: one of its sections is not an object. Sign in again or move "
          "it away.");
    }
    std::vector<Splice> splices;
    SecureText new_sections;
    for (const std::unique_ptr<Section>& section : sections_) {
      section->Finish(&splices, &new_sections);
    }
    if (is_empty) {
      if (!new_sections.view().empty()) {
        SecureText root;
        root.Append("{");
        root.Append(new_sections.view().substr(1));
        root.Append("}");
        // The white space that stood there is replaced.
        splices.push_back({0, reader_.offset(), root.Take()});
      }
    } else {
      ObjectSplicer splicer(inside, &splices);
      if (last_section.end > 0) splicer.Keep(last_section.begin, last_section.end);
      splicer.Finish(new_sections.view());
    }
    if (!splices.empty()) ToPieces(std::move(splices), plan);
    return Status::Ok();
  }

 private:
  Section* SectionOf(const std::u16string& name) {
    for (const std::unique_ptr<Section>& section : sections_) {
      if (section->name() == name) return section.get();
    }
    sections_.push_back(std::make_unique<Section>(name));
    return sections_.back().get();
  }

  Section* FindSection(const JsonText& name) {
    for (const std::unique_ptr<Section>& section : sections_) {
      if (section->HasName(name)) return section.get();
    }
    return nullptr;
  }

  // `*inside`: the offset behind the root's `{`. `*last`: the last member; unchanged if there is
  // none.
  bool ReadRoot(uint64_t* inside, MemberPlace* last) {
    *inside = reader_.offset() + 1;
    const bool is_read = ReadMembers(&reader_, [this, last] {
      reader_.Mark();
      last->begin = reader_.mark_offset();
      JsonSpan name;
      if (!reader_.ReadString(&name)) return false;
      Section* const section = FindSection(JsonText::FromRaw(reader_.Marked(name), name.is_plain));
      reader_.Unmark();
      if (!reader_.Expect(':')) return false;
      if (section == nullptr ? !reader_.SkipValue() : !ReadSection(section)) return false;
      last->end = reader_.offset();
      return true;
    });
    return is_read && reader_.ExpectEnd();
  }

  bool ReadSection(Section* section) {
    if (section == account_section_) account_->Clear();
    int next = -1;
    if (!reader_.Peek(&next)) return false;
    const SectionKind kind = next == '{'   ? SectionKind::kObject
                             : next == 'n' ? SectionKind::kNull
                                           : SectionKind::kOther;
    section->Begin(reader_.offset(), kind);
    if (kind == SectionKind::kObject) {
      if (!ReadMembers(&reader_, [this, section] { return ReadRecord(section); })) return false;
    } else if (!reader_.SkipValue()) {
      return false;
    }
    section->End(reader_.offset());
    return true;
  }

  bool ReadRecord(Section* section) {
    reader_.Mark();
    MemberPlace member;
    member.begin = reader_.mark_offset();
    JsonSpan key;
    if (!reader_.ReadString(&key)) return false;
    const std::string_view raw = reader_.Marked(key);
    member.key_hash = key.is_plain ? HashAscii(raw) : HashText(JsonText::FromRaw(raw, false));
    section->Supersede(member.key_hash);
    if (section == account_section_) account_->Supersede(member.key_hash);
    // The reader's buffer no longer needs to keep the key.
    reader_.Unmark();
    int next = -1;
    if (!reader_.Expect(':') || !reader_.Peek(&next)) return false;
    if (next == '{') {
      reader_.Mark();
      if (!record_.Read(&reader_)) return false;
      Match(section, member.key_hash);
      reader_.Unmark();
    } else {
      const uint64_t begin = reader_.offset();
      if (!reader_.SkipValue()) return false;
      MatchOther(section, member.key_hash, begin);
    }
    member.end = reader_.offset();
    section->AddMember(member);
    return true;
  }

  void Match(Section* section, uint64_t key_hash) {
    if (section == account_section_) account_->Read(key_hash, record_, reader_);
    const PreparedEdit* const edit = section->FindEdit(key_hash, record_, reader_);
    if (edit == nullptr) return;
    MatchedRecord match;
    match.key_hash = key_hash;
    match.edit = edit;
    if (!IsNewer(*edit->edit)) {
      match.is_removed = edit->edit->action == EditAction::kRemove;
      if (edit->writes()) {
        SpliceRecord(reader_.Marked({0, reader_.SizeSinceMark(), false}), reader_.mark_offset(),
                     *edit->edit, &match.splices);
      }
    }
    section->AddMatch(std::move(match));
  }

  bool IsNewer(const RecordEdit& edit) const {
    if (!edit.unless_newer) return false;
    const std::optional<double> time = record_.Time(reader_, edit.unless_newer->field);
    return time && *time >= edit.unless_newer->value;
  }

  // Applies the edits to a member that is not an object. Such a member is removed or replaced as a
  // whole.
  void MatchOther(Section* section, uint64_t key_hash, uint64_t begin) {
    const PreparedEdit* const edit = section->FindEdit(key_hash);
    if (edit == nullptr) return;
    MatchedRecord match;
    match.key_hash = key_hash;
    match.edit = edit;
    match.is_removed = edit->edit->action == EditAction::kRemove;
    if (edit->writes()) {
      match.splices.push_back({begin, reader_.offset(), NewRecord(*edit->edit).Take()});
    }
    section->AddMatch(std::move(match));
  }

  void ToPieces(std::vector<Splice> splices, EditPlan* plan) const {
    // Each section's splices are in order, but the sections were created in the order of the edits.
    // Two splices of one section never begin at the same offset.
    std::sort(splices.begin(), splices.end(),
              [](const Splice& a, const Splice& b) { return a.begin < b.begin; });
    uint64_t copied = 0;
    const auto copy_to = [plan, &copied](uint64_t end) {
      if (end == copied) return;
      plan->pieces.push_back({copied, end - copied, {}});
      plan->size += end - copied;
    };
    for (Splice& splice : splices) {
      copy_to(splice.begin);
      copied = splice.end;
      if (splice.text.size() == 0) continue;
      plan->size += splice.text.size();
      plan->pieces.push_back({0, 0, std::move(splice.text)});
    }
    copy_to(reader_.offset());
    plan->outcome = EditOutcome::kChanged;
  }

  JsonReader reader_;
  CacheRecord record_;
  std::vector<std::unique_ptr<Section>> sections_;
  std::optional<AccountCheck> account_;
  // Null if the change requires no account.
  const Section* account_section_ = nullptr;
};

}  // namespace

Status PlanEdits(ByteSource* source, const CacheChange& change, EditPlan* plan) {
  return Editor(source, change).Run(plan);
}

}  // namespace stc
