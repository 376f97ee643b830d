// PlanEdits: how to change records of MSAL's cache by splicing its text, so that every byte that is
// not concerned survives. The rules are those of CacheChange and RecordEdit in src/backend/backend.ts;
// src/backend/js/edit.ts is its twin in JavaScript, and test/conformance holds both to the same bytes.
//
// What comes out, exactly (for each object whose members change: a record, a section, the root):
// - A member that is taken out and has a kept member somewhere behind it goes with all bytes up to
//   the beginning of the next member's name. Those taken out behind the last kept one go with all
//   bytes from the end of that one's value to the end of the last member's value. If none is kept,
//   all bytes from the first name to the end of the last value go.
// - New members come right behind the last kept member's value, each as `,"name":value`; if none is
//   kept, where the first member's name was, or right behind the `{` of an empty object, without
//   the first comma. Names are written as JSON.stringify writes them. Order: that of the edits, and
//   of `set` within a record.
// - A new record is `{"name":value,...}` of `fill` and `set`, without white space; so is a new
//   section.
// - An empty cache (0 bytes or white space) becomes `{"Section":{...}}`.
// - A section that is `null` is replaced when a record is added to it; a section of any other kind
//   that an edit names is corrupt.
// - The value of a field that is set already is replaced by the new text, unless that is the same.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITOR_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secure_bytes.h"
#include "base/status.h"
#include "cache/cache_record.h"
#include "io/byte_source.h"

namespace stc {

enum class EditAction : uint8_t { kPut, kUpdate, kAdd, kRemove };

// Shape of RecordEdit in src/backend/backend.ts; strings as UTF-16, JSON text as UTF-8.
struct RecordEdit {
  struct Condition {
    Field field;
    std::vector<std::u16string> values;
  };
  struct NewerRule {
    Field field;
    double value;
  };

  ~RecordEdit() {
    for (auto* fields : {&set, &fill}) {
      for (auto& [name, json] : *fields) Wipe(json.data(), json.size());
    }
    for (Condition& condition : match) {
      for (std::u16string& value : condition.values) {
        Wipe(value.data(), value.size() * sizeof(char16_t));
      }
    }
  }
  RecordEdit() = default;
  RecordEdit(RecordEdit&&) = default;
  RecordEdit& operator=(RecordEdit&&) = default;

  std::u16string section;
  EditAction action = EditAction::kPut;
  std::optional<std::u16string> key;
  std::vector<Condition> match;
  std::vector<std::pair<std::u16string, std::string>> set;
  std::vector<std::pair<std::u16string, std::string>> fill;
  std::vector<std::u16string> unset;
  std::optional<NewerRule> unless_newer;
};

struct CacheChange {
  struct Account {
    std::u16string home_account_id;
    std::vector<std::u16string> environments;
  };

  std::vector<RecordEdit> edits;
  std::optional<Account> required_account;
};

// A stretch of the new cache: `size` bytes of the old one from `offset`, or, if `text` is not
// empty, that.
struct EditPiece {
  uint64_t offset = 0;
  uint64_t size = 0;
  SecureBytes text;
};

enum class EditOutcome : uint8_t { kNoAccount, kUnchanged, kChanged };

struct EditPlan {
  // Puts the pieces together. `old`: the cache that the plan was made of.
  SecureBytes Assemble(std::string_view old) const;

  EditOutcome outcome = EditOutcome::kUnchanged;
  // The new cache from front to back, if kChanged.
  std::vector<EditPiece> pieces;
  // Its size in bytes.
  uint64_t size = 0;
};

// Reads `source` to its end, once. Returns kCacheCorrupt, kCacheFormat, or what the source
// returned; the messages are those of ScanCache. Fills `plan` on success only. Does not call
// Verify. Memory: that of the records that change, and 24 bytes for each record of a section from
// which an edit takes some. Pure but for the source; safe on any thread.
Status PlanEdits(ByteSource* source, const CacheChange& change, EditPlan* plan);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITOR_H_
