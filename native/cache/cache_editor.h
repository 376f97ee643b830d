// PlanEdits: changes records of an MSAL cache by splicing its text, so that all other bytes are
// preserved. The rules are those of CacheChange and RecordEdit in src/backend/backend.ts.
// src/backend/js/edit.ts is the same in JavaScript; test/conformance checks that both produce the
// same bytes.
//
// Exact output, for each object whose members change (a record, a section, the root):
// - Removing a member that has a kept member behind it removes all bytes up to the start of the
//   next member's name. Removing the members behind the last kept one removes all bytes from the
//   end of the kept member's value to the end of the last value. If no member is kept, all bytes
//   from the first name to the end of the last value are removed.
// - New members follow the last kept member's value, each as `,"name":value`. If no member is kept,
//   they start where the first member's name was, or behind the `{` of an empty object, and the
//   first one has no comma. Names are escaped as JSON.stringify escapes them. The order is that of
//   the edits, and within a record that of `set`.
// - A new record is `{"name":value,...}` made of `fill` and `set`, without white space. A new
//   section has no white space either.
// - An empty cache (0 bytes, or white space only) becomes `{"Section":{...}}`.
// - Adding a record to a section that is `null` replaces the `null`. If an edit names a section of
//   any other non-object type, the cache is corrupt.
// - The value of a field that exists is replaced by the new text, unless both are the same text.

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

// Same shape as RecordEdit in src/backend/backend.ts. Strings are UTF-16, JSON text is UTF-8.
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

// Part of the new cache: `text` if it is not empty, otherwise `size` bytes of the old cache from
// `offset`.
struct EditPiece {
  uint64_t offset = 0;
  uint64_t size = 0;
  SecureBytes text;
};

enum class EditOutcome : uint8_t { kNoAccount, kUnchanged, kChanged };

struct EditPlan {
  // Builds the new cache in memory. `old`: the whole text of the cache that was read for this plan.
  SecureBytes Assemble(std::string_view old) const;

  EditOutcome outcome = EditOutcome::kUnchanged;
  // For kChanged: the parts of the new cache, in order.
  std::vector<EditPiece> pieces;
  // Size of the new cache in bytes.
  uint64_t size = 0;
};

// Reads `source` once, to its end, and does not call Verify. Returns kCacheCorrupt or kCacheFormat
// with the same messages as ScanCache, or the error of the source. Sets `plan` only on success.
// Memory: the text of changed records, plus 24 bytes for each record of a section with removals.
// Has no state; safe on any thread.
Status PlanEdits(ByteSource* source, const CacheChange& change, EditPlan* plan);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_EDITOR_H_
