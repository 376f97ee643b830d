#include "cache/record_writer.h"

#include <cstddef>
#include <utility>

#include "json/json_members.h"
#include "json/json_reader.h"
#include "json/json_text.h"

namespace stc {

namespace {

constexpr size_t kNone = static_cast<size_t>(-1);

// Offsets of a field in its record: the name starts at `begin`, the value is from `value` to `end`.
struct FieldPlace {
  size_t begin = 0;
  size_t value = 0;
  size_t end = 0;
  // Index of the field in `set` with the same name.
  size_t set = kNone;
  bool is_unset = false;
};

class FieldNames {
 public:
  explicit FieldNames(const RecordEdit& edit) {
    for (const auto& field : edit.set) set_.push_back(JsonText::FromUtf16(field.first));
    for (const std::u16string& name : edit.unset) unset_.push_back(JsonText::FromUtf16(name));
  }

  // If a name is in both, `set` wins.
  void Find(const JsonText& name, FieldPlace* place) const {
    for (size_t i = 0; i < set_.size(); ++i) {
      if (Equal(set_[i], name)) {
        place->set = i;
        return;
      }
    }
    for (const JsonText& unset : unset_) {
      if (Equal(unset, name)) place->is_unset = true;
    }
  }

 private:
  std::vector<JsonText> set_;
  std::vector<JsonText> unset_;
};

std::vector<FieldPlace> ReadFields(std::string_view record, const FieldNames& names) {
  std::vector<FieldPlace> places;
  JsonReader reader(record);
  reader.Mark();
  // The caller has read this record before, so that it is well formed.
  ReadMembers(&reader, [&reader, &names, &places] {
    FieldPlace place;
    place.begin = reader.SizeSinceMark();
    JsonSpan name;
    int next = -1;
    if (!reader.ReadString(&name) || !reader.Expect(':') || !reader.Peek(&next)) return false;
    place.value = reader.SizeSinceMark();
    if (!reader.SkipValue()) return false;
    place.end = reader.SizeSinceMark();
    names.Find(JsonText::FromRaw(reader.Marked(name), name.is_plain), &place);
    places.push_back(place);
    return true;
  });
  return places;
}

}  // namespace

void AppendMember(const std::u16string& name, std::string_view json, SecureText* text) {
  text->Append(",");
  text->AppendString(name);
  text->Append(":");
  text->Append(json);
}

SecureText NewRecord(const RecordEdit& edit) {
  SecureText members;
  for (const auto& [name, json] : edit.fill) {
    bool is_set = false;
    for (const auto& field : edit.set) is_set = is_set || field.first == name;
    if (!is_set) AppendMember(name, json, &members);
  }
  for (const auto& [name, json] : edit.set) AppendMember(name, json, &members);
  SecureText record;
  record.Append("{");
  if (!members.view().empty()) record.Append(members.view().substr(1));
  record.Append("}");
  return record;
}

void SpliceRecord(std::string_view record, uint64_t offset, const RecordEdit& edit,
                  std::vector<Splice>* splices) {
  const std::vector<FieldPlace> places = ReadFields(record, FieldNames(edit));
  // If a field occurs twice, the last one counts, as in JSON.parse.
  std::vector<size_t> last(edit.set.size(), kNone);
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i].set != kNone) last[places[i].set] = i;
  }
  ObjectSplicer splicer(offset + 1, splices);
  for (size_t i = 0; i < places.size(); ++i) {
    const FieldPlace& place = places[i];
    if (place.is_unset) {
      // Remove all fields with this name. If an earlier duplicate stayed, readers would see it
      // again.
      splicer.Remove(offset + place.begin, offset + place.end);
      continue;
    }
    splicer.Keep(offset + place.begin, offset + place.end);
    if (place.set == kNone || last[place.set] != i) continue;
    const std::string& json = edit.set[place.set].second;
    if (record.substr(place.value, place.end - place.value) == json) continue;
    splices->push_back({offset + place.value, offset + place.end, SecureBytes::CopyOf(json)});
  }
  SecureText added;
  for (size_t i = 0; i < edit.set.size(); ++i) {
    if (last[i] == kNone) AppendMember(edit.set[i].first, edit.set[i].second, &added);
  }
  splicer.Finish(added.view());
}

}  // namespace stc
