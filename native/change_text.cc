#include "change_text.h"

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "json_members.h"
#include "json_reader.h"
#include "json_text.h"
#include "secure_bytes.h"

namespace stc {

namespace {

std::u16string ToUtf16(const JsonText& text) {
  return text.is_ascii() ? std::u16string(text.ascii().begin(), text.ascii().end()) : text.wide();
}

// The methods read what comes next, and return false if it is something else.
class ChangeReader {
 public:
  explicit ChangeReader(std::string_view json) : reader_(json) {}

  bool Read(CacheChange* change) {
    return Object([&](std::string_view name) {
             if (name == "edits") {
               return Array([&] { return Edit(&change->edits.emplace_back()); });
             }
             if (name == "requiredAccount") return Account(&change->required_account.emplace());
             return false;
           }) &&
           reader_.ExpectEnd();
  }

 private:
  bool Edit(RecordEdit* edit) {
    // The values of fields are written as they are: what comes behind those of `set`, which are the
    // last, would be a part of one that is no JSON text.
    bool is_whole = false;
    bool has_section = false;
    const bool is_read = Object([&](std::string_view name) {
      if (is_whole) return false;
      if (name == "section") return has_section = Text(&edit->section);
      if (name == "action") return Action(&edit->action);
      if (name == "key") return Text(&edit->key.emplace());
      if (name == "match") return Match(&edit->match);
      if (name == "unset") return Texts(&edit->unset);
      if (name == "unlessNewer") return Rule(&edit->unless_newer.emplace());
      if (name == "fill") return Fields(&edit->fill);
      is_whole = true;
      return name == "set" && Fields(&edit->set);
    });
    return is_read && is_whole && has_section &&
           (edit->key || edit->action == EditAction::kUpdate ||
            edit->action == EditAction::kRemove);
  }

  bool Account(CacheChange::Account* account) {
    return Object([&](std::string_view name) {
      if (name == "homeAccountId") return Text(&account->home_account_id);
      if (name == "environments") return Texts(&account->environments);
      return false;
    });
  }

  bool Match(std::vector<RecordEdit::Condition>* match) {
    return Object([&](std::string_view name) {
      RecordEdit::Condition& condition = match->emplace_back();
      condition.field = FindField(name);
      return condition.field != Field::kCount && Texts(&condition.values);
    });
  }

  // Names and JSON text of values, exactly as it was sent.
  bool Fields(std::vector<std::pair<std::u16string, std::string>>* fields) {
    return ReadMembers(&reader_, [&] {
      JsonText name;
      int next = -1;
      if (!Read(&name) || !reader_.Expect(':') || !reader_.Peek(&next)) return false;
      reader_.Mark();
      if (!reader_.SkipValue()) return false;
      fields->emplace_back(ToUtf16(name), reader_.Marked({0, reader_.SizeSinceMark(), false}));
      reader_.Unmark();
      return true;
    });
  }

  bool Rule(RecordEdit::NewerRule* rule) {
    return Object([&](std::string_view name) {
      if (name == "value") return Number(&rule->value);
      if (name != "field") return false;
      JsonText field;
      if (!Read(&field) || !field.is_ascii()) return false;
      rule->field = FindField(field.ascii());
      return rule->field != Field::kCount;
    });
  }

  bool Action(EditAction* action) {
    JsonText text;
    if (!Read(&text) || !text.is_ascii()) return false;
    const std::string& name = text.ascii();
    if (name == "put") {
      *action = EditAction::kPut;
    } else if (name == "update") {
      *action = EditAction::kUpdate;
    } else if (name == "add") {
      *action = EditAction::kAdd;
    } else if (name == "remove") {
      *action = EditAction::kRemove;
    } else {
      return false;
    }
    return true;
  }

  bool Texts(std::vector<std::u16string>* texts) {
    return Array([&] { return Text(&texts->emplace_back()); });
  }

  bool Text(std::u16string* value) {
    JsonText text;
    if (!Read(&text)) return false;
    *value = ToUtf16(text);
    return true;
  }

  bool Read(JsonText* text) {
    int next = -1;
    if (!reader_.Peek(&next) || next != '"') return false;
    reader_.Mark();
    JsonSpan span;
    if (!reader_.ReadString(&span)) return false;
    *text = JsonText::FromRaw(reader_.Marked(span), span.is_plain);
    reader_.Unmark();
    return true;
  }

  bool Number(double* value) {
    int next = -1;
    if (!reader_.Peek(&next) || next == -1) return false;
    reader_.Mark();
    JsonSpan span;
    if (!reader_.ReadNumber(&span)) return false;
    *value = std::strtod(std::string(reader_.Marked(span)).c_str(), nullptr);
    reader_.Unmark();
    return true;
  }

  template <typename ReadValue>
  bool Object(ReadValue read_value) {
    return ReadMembers(&reader_, [&] {
      JsonText name;
      return Read(&name) && name.is_ascii() && reader_.Expect(':') && read_value(name.ascii());
    });
  }

  template <typename ReadItem>
  bool Array(ReadItem read_item) {
    bool is_done = false;
    if (!reader_.Expect('[') || !reader_.Take(']', &is_done)) return false;
    while (!is_done) {
      bool has_more = false;
      if (!read_item() || !reader_.Take(',', &has_more)) return false;
      if (!has_more) {
        if (!reader_.Expect(']')) return false;
        is_done = true;
      }
    }
    return true;
  }

  JsonReader reader_;
};

}  // namespace

bool ParseChange(std::string_view json, CacheChange* change) {
  return ChangeReader(json).Read(change);
}

}  // namespace stc
