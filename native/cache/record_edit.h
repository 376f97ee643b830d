// RecordEdit and CacheChange: what a commit changes in a cache.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_EDIT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_EDIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/secure_bytes.h"
#include "cache/cache_record.h"

namespace stc {

enum class EditAction : uint8_t { kPut, kUpdate, kAdd, kRemove };

// Same shape as RecordEdit in src/backend/backend.ts. Strings are UTF-16, JSON text is UTF-8.
struct RecordEdit {
  struct Condition {
    Field field;
    std::vector<std::u16string> values;
  };
  struct TimeRule {
    Field field;
    double value;
  };

  ~RecordEdit() {
    for (auto* fields : {&set, &fill}) {
      for (auto& [name, json] : *fields) Wipe(json.data(), json.size());
    }
    for (Condition& condition : match) WipeTexts(&condition.values);
    if (only_if_secret) WipeTexts(&*only_if_secret);
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
  std::optional<TimeRule> unless_newer;
  std::optional<TimeRule> only_if_older;
  std::optional<std::vector<std::u16string>> only_if_secret;

 private:
  static void WipeTexts(std::vector<std::u16string>* texts) {
    for (std::u16string& text : *texts) Wipe(text.data(), text.size() * sizeof(char16_t));
  }
};

struct CacheChange {
  struct Account {
    std::u16string home_account_id;
    std::vector<std::u16string> environments;
  };

  std::vector<RecordEdit> edits;
  std::optional<Account> required_account;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_EDIT_H_
