#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "cache_editor.h"
#include "cache_format.h"
#include "caseless_text.h"
#include "json_reader.h"
#include "json_text.h"
#include "record_index.h"
#include "secure_text.h"
#include "text_hash.h"

namespace stc {

namespace {

// ---- Texts ----

JsonText ToText(const std::u16string& text) {
  // By way of its JSON form, so that there is one way into a JsonText.
  SecureText json;
  json.AppendString(text);
  return JsonText::FromRaw(json.view().substr(1, json.view().size() - 2), false);
}

// The scopes of a target, in lower case, sorted, each once.
std::vector<std::u16string> ScopesOf(const std::u16string& target) {
  std::vector<std::u16string> scopes;
  std::u16string scope;
  for (size_t i = 0; i <= target.size(); ++i) {
    if (i < target.size() && target[i] != u' ') {
      const char16_t c = target[i];
      scope.push_back(c >= u'A' && c <= u'Z' ? static_cast<char16_t>(c + 32) : c);
    } else if (!scope.empty()) {
      scopes.push_back(std::move(scope));
      scope.clear();
    }
  }
  std::sort(scopes.begin(), scopes.end());
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());
  return scopes;
}

std::u16string ToUtf16(const JsonText& text) {
  std::u16string wide;
  for (size_t i = 0; i < text.size(); ++i) wide.push_back(text[i]);
  return wide;
}

// ---- What an edit looks for, ready to be compared ----

class Condition {
 public:
  explicit Condition(const RecordEdit::Condition& condition) : field_(condition.field) {
    for (const std::u16string& value : condition.values) {
      takes_empty_ = takes_empty_ || value.empty();
      texts_.emplace_back(value);
      if (field_ == Field::kTarget) scopes_.push_back(ScopesOf(value));
      if (field_ == Field::kSecret) exact_.push_back(ToText(value));
    }
  }

  bool Holds(const CacheRecord& record, const JsonReader& reader) const {
    if (field_ == Field::kFamilyId) return HoldsFamilyId(record, reader);
    if (!record.IsNonEmptyString(field_)) return takes_empty_;
    if (field_ == Field::kSecret) return HoldsSecret(record, reader);
    for (const CaselessText& text : texts_) {
      if (record.Equals(reader, field_, text)) return true;
    }
    return field_ == Field::kTarget && HoldsScopes(record, reader);
  }

 private:
  bool HoldsFamilyId(const CacheRecord& record, const JsonReader& reader) const {
    const std::optional<JsonText> family_id = record.FamilyId(reader);
    if (!family_id) return takes_empty_;
    return std::any_of(texts_.begin(), texts_.end(), [&family_id](const CaselessText& text) {
      return text.Equals(*family_id);
    });
  }

  bool HoldsSecret(const CacheRecord& record, const JsonReader& reader) const {
    const JsonText secret = record.Text(reader, Field::kSecret);
    return std::any_of(exact_.begin(), exact_.end(),
                       [&secret](const JsonText& text) { return Equal(text, secret); });
  }

  bool HoldsScopes(const CacheRecord& record, const JsonReader& reader) const {
    const std::vector<std::u16string> scopes =
        ScopesOf(ToUtf16(record.Text(reader, Field::kTarget)));
    return std::find(scopes_.begin(), scopes_.end(), scopes) != scopes_.end();
  }

  const Field field_;
  bool takes_empty_ = false;
  std::vector<CaselessText> texts_;
  std::vector<std::vector<std::u16string>> scopes_;
  std::vector<JsonText> exact_;
};

struct PreparedEdit {
  explicit PreparedEdit(const RecordEdit& wanted) : edit(&wanted) {
    if (wanted.key) key = ToText(*wanted.key);
    for (const RecordEdit::Condition& condition : wanted.match) conditions.emplace_back(condition);
  }

  bool MatchesFields(const CacheRecord& record, const JsonReader& reader) const {
    if (conditions.empty()) return false;
    return std::all_of(conditions.begin(), conditions.end(), [&](const Condition& condition) {
      return condition.Holds(record, reader);
    });
  }

  const RecordEdit* edit;
  std::optional<JsonText> key;
  std::vector<Condition> conditions;
};

// ---- What comes of it ----

// `size` bytes from `offset` give way to `text`.
struct Splice {
  uint64_t offset = 0;
  uint64_t size = 0;
  SecureBytes text;
};

using Splices = std::vector<Splice>;

// The members of one object, in order, and which of them go.
class Members {
 public:
  // `inside`: where the first byte after the brace is.
  explicit Members(uint64_t inside) : inside_(inside) {}

  void Keep(uint64_t begin, uint64_t end) {
    if (is_removing_) {
      removed_.push_back({removed_begin_, begin});
      is_removing_ = false;
    }
    has_kept_ = true;
    kept_end_ = end;
  }

  void Remove(uint64_t begin, uint64_t end) {
    if (!is_removing_) removed_begin_ = begin;
    is_removing_ = true;
    removed_end_ = end;
  }

  // `added`: members to add, with a comma between them and none in front.
  void Finish(const SecureText& added, Splices* splices) const {
    for (const auto& [begin, end] : removed_) splices->push_back({begin, end - begin, {}});
    Splice last;
    last.offset = has_kept_ ? kept_end_ : is_removing_ ? removed_begin_ : inside_;
    if (is_removing_) last.size = removed_end_ - last.offset;
    SecureText text;
    if (!added.view().empty()) {
      if (has_kept_) text.Append(",");
      text.Append(added.view());
    }
    last.text = text.Take();
    if (last.size > 0 || last.text.size() > 0) splices->push_back(std::move(last));
  }

 private:
  const uint64_t inside_;
  bool has_kept_ = false;
  uint64_t kept_end_ = 0;
  bool is_removing_ = false;
  uint64_t removed_begin_ = 0;
  uint64_t removed_end_ = 0;
  std::vector<std::pair<uint64_t, uint64_t>> removed_;
};

// A record as a new one is written.
void AppendRecord(const RecordEdit& edit, SecureText* text) {
  text->Append("{");
  bool is_first = true;
  for (const auto* fields : {&edit.fill, &edit.set}) {
    for (const auto& [name, json] : *fields) {
      if (!is_first) text->Append(",");
      is_first = false;
      text->AppendString(name);
      text->Append(":");
      text->Append(json);
    }
  }
  text->Append("}");
}

// The changes of one record's fields. `text` is the record, well formed, from `offset`.
class RecordPatch {
 public:
  RecordPatch(std::string_view text, uint64_t offset) : text_(text), offset_(offset) {}

  void Plan(const RecordEdit& edit, Splices* splices) {
    Read();
    SecureText added;
    for (const auto& [name, json] : edit.set) {
      const JsonText wanted = ToText(name);
      const auto found =
          std::find_if(fields_.rbegin(), fields_.rend(),
                       [&wanted](const FieldPlace& field) { return Equal(field.name, wanted); });
      if (found == fields_.rend()) {
        if (!added.view().empty()) added.Append(",");
        added.AppendString(name);
        added.Append(":");
        added.Append(json);
      } else if (text_.substr(found->value, found->end - found->value) != json) {
        SecureText value;
        value.Append(json);
        splices->push_back({offset_ + found->value, found->end - found->value, value.Take()});
      }
    }
    for (const std::u16string& name : edit.unset) {
      const JsonText unwanted = ToText(name);
      for (FieldPlace& field : fields_) {
        if (Equal(field.name, unwanted)) field.is_removed = true;
      }
    }
    Members members(offset_ + 1);
    for (const FieldPlace& field : fields_) {
      if (field.is_removed) {
        members.Remove(offset_ + field.begin, offset_ + field.end);
      } else {
        members.Keep(offset_ + field.begin, offset_ + field.end);
      }
    }
    members.Finish(added, splices);
  }

 private:
  struct FieldPlace {
    JsonText name;
    size_t begin = 0;
    size_t value = 0;
    size_t end = 0;
    bool is_removed = false;
  };

  // It was read before, so that nothing can fail.
  void Read() {
    JsonReader reader(text_);
    reader.Mark();
    bool is_done = false;
    if (!reader.Expect('{') || !reader.Take('}', &is_done)) return;
    while (!is_done) {
      int next = -1;
      FieldPlace field;
      JsonSpan name;
      if (!reader.Peek(&next)) return;
      field.begin = reader.SizeSinceMark();
      if (!reader.ReadString(&name)) return;
      field.name = JsonText::FromRaw(reader.Marked(name), name.is_plain);
      if (!reader.Expect(':') || !reader.Peek(&next)) return;
      field.value = reader.SizeSinceMark();
      if (!reader.SkipValue()) return;
      field.end = reader.SizeSinceMark();
      fields_.push_back(std::move(field));
      bool has_more = false;
      if (!reader.Take(',', &has_more)) return;
      is_done = !has_more;
    }
  }

  const std::string_view text_;
  const uint64_t offset_;
  std::vector<FieldPlace> fields_;
};

// A record that belongs to an edit.
struct Match {
  uint64_t key_hash = 0;
  size_t edit = 0;
  Splices splices;
};

struct MemberPlace {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t key_hash = 0;
};

enum class SectionKind { kMissing, kObject, kNull, kOther };

// One section that edits name, as it was found last.
struct SectionState {
  explicit SectionState(const std::u16string& section_name)
      : name(section_name), text(ToText(section_name)) {}

  void Clear() {
    kind = SectionKind::kMissing;
    matches.clear();
    index.Clear();
    members.clear();
  }

  const std::u16string name;
  const JsonText text;
  std::vector<PreparedEdit> edits;
  bool has_removals = false;

  SectionKind kind = SectionKind::kMissing;
  uint64_t value_begin = 0;
  uint64_t value_end = 0;
  std::vector<std::optional<Match>> matches;
  RecordIndex index;
  // All of them where some may go, else the last one.
  std::vector<MemberPlace> members;
};

class Editor {
 public:
  Editor(ByteSource* source, const CacheChange& change) : reader_(source), change_(change) {
    for (const RecordEdit& edit : change.edits) {
      SectionState& section = SectionOf(edit.section);
      section.edits.emplace_back(edit);
      section.has_removals = section.has_removals || edit.action == EditAction::kRemove;
    }
    if (change.required_account) {
      SectionOf(u"Account");
      home_account_id_.emplace(change.required_account->home_account_id);
      for (const std::u16string& environment : change.required_account->environments) {
        environments_.emplace_back(environment);
      }
    }
  }

  Status Run(EditPlan* plan) {
    bool is_empty = false;
    Status status = SniffCache(&reader_, &is_empty);
    if (!status.ok()) return status;
    if (!is_empty && !ReadRoot()) return reader_.status();
    if (change_.required_account && accounts_.empty()) {
      plan->outcome = EditOutcome::kNoAccount;
      return Status::Ok();
    }
    Splices splices;
    SecureText new_sections;
    for (const std::unique_ptr<SectionState>& section : sections_) {
      status = Finish(section.get(), &splices, &new_sections);
      if (!status.ok()) return status;
    }
    if (is_empty) {
      // White space, if anything: it goes.
      if (new_sections.view().empty()) return Status::Ok();
      SecureText root;
      root.Append("{");
      root.Append(new_sections.view());
      root.Append("}");
      splices.push_back({0, reader_.offset(), root.Take()});
    } else if (!new_sections.view().empty()) {
      root_->Finish(new_sections, &splices);
    }
    if (!splices.empty()) Assemble(std::move(splices), plan);
    return Status::Ok();
  }

 private:
  SectionState& SectionOf(const std::u16string& name) {
    for (const std::unique_ptr<SectionState>& section : sections_) {
      if (section->name == name) return *section;
    }
    sections_.push_back(std::make_unique<SectionState>(name));
    return *sections_.back();
  }

  SectionState* FindSection(const JsonText& name) {
    for (const std::unique_ptr<SectionState>& section : sections_) {
      if (Equal(section->text, name)) return section.get();
    }
    return nullptr;
  }

  bool ReadRoot() {
    bool is_done = false;
    if (!reader_.Expect('{')) return false;
    root_.emplace(reader_.offset());
    if (!reader_.Take('}', &is_done)) return false;
    while (!is_done) {
      int next = -1;
      if (!reader_.Peek(&next)) return false;
      if (next != '"') return reader_.Expect('"');
      reader_.Mark();
      const uint64_t begin = reader_.mark_offset();
      JsonSpan name;
      if (!reader_.ReadString(&name)) return false;
      SectionState* const section =
          FindSection(JsonText::FromRaw(reader_.Marked(name), name.is_plain));
      reader_.Unmark();
      if (!reader_.Expect(':') || !reader_.Peek(&next)) return false;
      if (section == nullptr ? !reader_.SkipValue() : !ReadSection(section, next)) return false;
      root_->Keep(begin, reader_.offset());
      bool has_more = false;
      if (!reader_.Take(',', &has_more)) return false;
      if (!has_more) {
        if (!reader_.Expect('}')) return false;
        is_done = true;
      }
    }
    return reader_.ExpectEnd();
  }

  bool ReadSection(SectionState* section, int first) {
    // Of two sections with one name the later one counts.
    section->Clear();
    if (IsAccountSection(*section)) accounts_.clear();
    section->value_begin = reader_.offset();
    if (first != '{') {
      section->kind = first == 'n' ? SectionKind::kNull : SectionKind::kOther;
      if (!reader_.SkipValue()) return false;
      section->value_end = reader_.offset();
      return true;
    }
    section->kind = SectionKind::kObject;
    bool is_done = false;
    if (!reader_.Expect('{') || !reader_.Take('}', &is_done)) return false;
    while (!is_done) {
      if (!ReadRecord(section)) return false;
      bool has_more = false;
      if (!reader_.Take(',', &has_more)) return false;
      if (!has_more) {
        if (!reader_.Expect('}')) return false;
        is_done = true;
      }
    }
    section->value_end = reader_.offset();
    return true;
  }

  bool IsAccountSection(const SectionState& section) const {
    return change_.required_account && section.name == u"Account";
  }

  bool ReadRecord(SectionState* section) {
    int next = -1;
    if (!reader_.Peek(&next)) return false;
    if (next != '"') return reader_.Expect('"');
    reader_.Mark();
    MemberPlace member;
    member.begin = reader_.mark_offset();
    JsonSpan span;
    if (!reader_.ReadString(&span)) return false;
    const std::string_view raw = reader_.Marked(span);
    std::optional<JsonText> unescaped;
    if (!span.is_plain) unescaped = JsonText::FromRaw(raw, false);
    member.key_hash = unescaped ? HashText(*unescaped) : HashAscii(raw);
    size_t by_key = kNone;
    for (size_t i = 0; i < section->edits.size() && by_key == kNone; ++i) {
      const std::optional<JsonText>& key = section->edits[i].key;
      if (!key) continue;
      const bool is_equal =
          unescaped ? Equal(*key, *unescaped) : key->is_ascii() && key->ascii() == raw;
      if (is_equal) by_key = i;
    }
    // Of two records with one key the later one counts.
    Supersede(section, member.key_hash);
    if (!reader_.Expect(':') || !reader_.Peek(&next)) return false;
    reader_.Mark();
    const uint64_t offset = reader_.mark_offset();
    if (next == '{') {
      if (!record_.Read(&reader_)) return false;
      NoteAccount(*section, member.key_hash);
      size_t edit = by_key;
      for (size_t i = 0; i < std::min(by_key, section->edits.size()); ++i) {
        if (section->edits[i].MatchesFields(record_, reader_)) {
          edit = i;
          break;
        }
      }
      if (edit != kNone) AddMatch(section, edit, member.key_hash, offset);
    } else {
      reader_.Unmark();
      if (!reader_.SkipValue()) return false;
      if (by_key != kNone) {
        AddBrokenMatch(section, by_key, member.key_hash, offset, reader_.offset() - offset);
      }
    }
    reader_.Unmark();
    member.end = reader_.offset();
    if (!section->has_removals) section->members.clear();
    section->members.push_back(member);
    return true;
  }

  void Supersede(SectionState* section, uint64_t key_hash) {
    const uint32_t old = section->index.Find(key_hash);
    if (old != RecordIndex::kNone) section->matches[old].reset();
    if (IsAccountSection(*section)) {
      accounts_.erase(std::remove(accounts_.begin(), accounts_.end(), key_hash), accounts_.end());
    }
  }

  void NoteAccount(const SectionState& section, uint64_t key_hash) {
    if (!IsAccountSection(section) ||
        !record_.Equals(reader_, Field::kHomeAccountId, *home_account_id_)) {
      return;
    }
    for (const CaselessText& environment : environments_) {
      if (record_.Equals(reader_, Field::kEnvironment, environment)) {
        accounts_.push_back(key_hash);
        return;
      }
    }
  }

  Match* Put(SectionState* section, size_t edit, uint64_t key_hash) {
    section->index.Put(key_hash, static_cast<uint32_t>(section->matches.size()));
    section->matches.emplace_back(Match{key_hash, edit, {}});
    return &*section->matches.back();
  }

  void AddMatch(SectionState* section, size_t number, uint64_t key_hash, uint64_t offset) {
    const RecordEdit& edit = *section->edits[number].edit;
    Match* const match = Put(section, number, key_hash);
    if (edit.action != EditAction::kPut && edit.action != EditAction::kUpdate) return;
    if (edit.unless_newer) {
      const std::optional<double> time = record_.Time(reader_, edit.unless_newer->field);
      if (time && *time >= edit.unless_newer->value) return;
    }
    RecordPatch(reader_.Marked({0, reader_.SizeSinceMark(), false}), offset)
        .Plan(edit, &match->splices);
  }

  void AddBrokenMatch(SectionState* section, size_t number, uint64_t key_hash, uint64_t offset,
                      uint64_t size) {
    const RecordEdit& edit = *section->edits[number].edit;
    Match* const match = Put(section, number, key_hash);
    if (edit.action != EditAction::kPut && edit.action != EditAction::kUpdate) return;
    SecureText text;
    AppendRecord(edit, &text);
    match->splices.push_back({offset, size, text.Take()});
  }

  Status Finish(SectionState* section, Splices* splices, SecureText* new_sections) {
    if (section->edits.empty()) return Status::Ok();
    if (section->kind == SectionKind::kOther) {
      return Status(StatusCode::kCacheCorrupt, "edit", "", 0,
                    "not a token cache: one of its sections is no object. Sign in again or move "
                    "it away.");
    }
    std::vector<bool> has_match(section->edits.size());
    RecordIndex removed;
    for (std::optional<Match>& match : section->matches) {
      if (!match) continue;
      has_match[match->edit] = true;
      if (section->edits[match->edit].edit->action == EditAction::kRemove) {
        removed.Put(match->key_hash, 0);
      }
      for (Splice& splice : match->splices) splices->push_back(std::move(splice));
    }
    SecureText added;
    for (size_t i = 0; i < section->edits.size(); ++i) {
      const RecordEdit& edit = *section->edits[i].edit;
      const bool may_add = edit.action == EditAction::kPut || edit.action == EditAction::kAdd;
      if (!may_add || has_match[i] || !edit.key) continue;
      if (!added.view().empty()) added.Append(",");
      added.AppendString(*edit.key);
      added.Append(":");
      AppendRecord(edit, &added);
    }
    if (section->kind == SectionKind::kObject) {
      Members members(section->value_begin + 1);
      for (const MemberPlace& member : section->members) {
        if (removed.Find(member.key_hash) == RecordIndex::kNone) {
          members.Keep(member.begin, member.end);
        } else {
          members.Remove(member.begin, member.end);
        }
      }
      members.Finish(added, splices);
      return Status::Ok();
    }
    if (added.view().empty()) return Status::Ok();
    SecureText text;
    text.Append("{");
    text.Append(added.view());
    text.Append("}");
    if (section->kind == SectionKind::kNull) {
      splices->push_back(
          {section->value_begin, section->value_end - section->value_begin, text.Take()});
      return Status::Ok();
    }
    if (!new_sections->view().empty()) new_sections->Append(",");
    new_sections->AppendString(section->name);
    new_sections->Append(":");
    new_sections->Append(text.view());
    return Status::Ok();
  }

  void Assemble(Splices splices, EditPlan* plan) {
    std::stable_sort(splices.begin(), splices.end(),
                     [](const Splice& a, const Splice& b) { return a.offset < b.offset; });
    uint64_t position = 0;
    const auto copy_to = [&](uint64_t end) {
      if (end > position) {
        plan->pieces.push_back({position, end - position, {}});
        plan->size += end - position;
      }
    };
    for (Splice& splice : splices) {
      copy_to(splice.offset);
      position = splice.offset + splice.size;
      if (splice.text.size() > 0) {
        plan->size += splice.text.size();
        plan->pieces.push_back({0, 0, std::move(splice.text)});
      }
    }
    copy_to(reader_.offset());
    plan->outcome = EditOutcome::kChanged;
  }

  static constexpr size_t kNone = static_cast<size_t>(-1);

  JsonReader reader_;
  const CacheChange& change_;
  CacheRecord record_;
  std::vector<std::unique_ptr<SectionState>> sections_;
  std::optional<Members> root_;
  std::optional<CaselessText> home_account_id_;
  std::vector<CaselessText> environments_;
  // Keys of the records of the required account.
  std::vector<uint64_t> accounts_;
};

}  // namespace

Status PlanEdits(ByteSource* source, const CacheChange& change, EditPlan* plan) {
  return Editor(source, change).Run(plan);
}

}  // namespace stc
