#include "cache/cache_editor.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/account_check.h"
#include "cache/cache_format.h"
#include "cache/edited_section.h"
#include "cache/object_splicer.h"
#include "cache/record_writer.h"
#include "json/json_members.h"
#include "json/json_reader.h"
#include "json/json_text.h"
#include "json/secure_text.h"
#include "json/text_hash.h"

namespace stc {

namespace {

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
    for (const std::unique_ptr<EditedSection>& section : sections_) {
      if (section->IsReadable()) continue;
      return Status(
          StatusCode::kCacheCorrupt, "edit", "", 0,
          "not a token cache: one of its sections is not an object. Sign in again or move "
          "it away.");
    }
    std::vector<Splice> splices;
    SecureText new_sections;
    for (const std::unique_ptr<EditedSection>& section : sections_) {
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
  EditedSection* SectionOf(const std::u16string& name) {
    for (const std::unique_ptr<EditedSection>& section : sections_) {
      if (section->name() == name) return section.get();
    }
    sections_.push_back(std::make_unique<EditedSection>(name));
    return sections_.back().get();
  }

  EditedSection* FindSection(const JsonText& name) {
    for (const std::unique_ptr<EditedSection>& section : sections_) {
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
      EditedSection* const section =
          FindSection(JsonText::FromRaw(reader_.Marked(name), name.is_plain));
      reader_.Unmark();
      if (!reader_.Expect(':')) return false;
      if (section == nullptr ? !reader_.SkipValue() : !ReadSection(section)) return false;
      last->end = reader_.offset();
      return true;
    });
    return is_read && reader_.ExpectEnd();
  }

  bool ReadSection(EditedSection* section) {
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

  bool ReadRecord(EditedSection* section) {
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

  void Match(EditedSection* section, uint64_t key_hash) {
    if (section == account_section_) account_->Read(key_hash, record_, reader_);
    const PreparedEdit* const edit = section->FindEdit(key_hash, record_, reader_);
    if (edit == nullptr) return;
    MatchedRecord match;
    match.key_hash = key_hash;
    match.edit = edit;
    if (!edit->Keeps(record_, reader_)) {
      match.is_removed = edit->edit->action == EditAction::kRemove;
      if (edit->writes()) {
        SpliceRecord(reader_.Marked({0, reader_.SizeSinceMark(), false}), reader_.mark_offset(),
                     *edit->edit, &match.splices);
      }
    }
    section->AddMatch(std::move(match));
  }

  // Applies the edits to a member that is not an object. Such a member is removed or replaced as a
  // whole.
  void MatchOther(EditedSection* section, uint64_t key_hash, uint64_t begin) {
    const PreparedEdit* const edit = section->FindEdit(key_hash);
    if (edit == nullptr) return;
    MatchedRecord match;
    match.key_hash = key_hash;
    match.edit = edit;
    if (!edit->KeepsOther()) {
      match.is_removed = edit->edit->action == EditAction::kRemove;
      if (edit->writes()) {
        match.splices.push_back({begin, reader_.offset(), NewRecord(*edit->edit).Take()});
      }
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
  std::vector<std::unique_ptr<EditedSection>> sections_;
  std::optional<AccountCheck> account_;
  // Null if the change requires no account.
  const EditedSection* account_section_ = nullptr;
};

}  // namespace

Status PlanEdits(ByteSource* source, const CacheChange& change, EditPlan* plan) {
  return Editor(source, change).Run(plan);
}

}  // namespace stc
