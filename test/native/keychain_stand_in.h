// A stand-in for the functions of CoreFoundation and Security that the Keychain store uses, for
// other systems. Written from Apple's documentation: it shows which calls the store makes, not how
// macOS reacts. It counts references and buffers as Apple's frameworks do, and every mistake with
// them.

#ifndef AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_KEYCHAIN_STAND_IN_H_
#define AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_KEYCHAIN_STAND_IN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace stand_in {

struct Item {
  std::string value;
  // UTC, with a resolution of 1 s, as in the keychain.
  std::string created = "20260131235901Z";
  std::string modified = "20260131235901Z";
  // Reading the value requires the user's permission.
  bool asks = false;
  // The user's permission also applies to later calls.
  bool remembers = false;
  // Identifies the item: a reference to a deleted item does not match a new one of the same name.
  int number = 0;
};

struct Keychain {
  // By service and account.
  std::map<std::pair<std::string, std::string>, Item> items;
  // By function name: the status that the next call of it returns, regardless of its arguments.
  std::map<std::string, int32_t> next_status;
  // Called at the start of each call, with the function's name.
  std::function<void(const std::string&)> on_call;
  // Status of a call that would have to ask while questions are off.
  int32_t status_without_questions = -25308;
  bool interaction_allowed = true;
  bool has_dates = true;
  int reads_of_values = 0;
  int questions = 0;
  int updates = 0;
  int additions = 0;
};

// Restores the initial state. Answers open questions with "no".
void Reset();

// Creates an item, or replaces the one with this name.
Item& Put(const std::pair<std::string, std::string>& name, const std::string& value);

// Use it from one thread at a time, or within on_call.
Keychain& TheKeychain();

// Answers the open question.
void Answer(bool is_allowed);
// Whether a question is open.
bool IsAsking();

// Number of references and buffers that are not yet released.
int LiveObjects();
// Number of mistakes: released twice, used after release, or a secret that was released without
// being wiped.
int Mistakes();

// Makes allocations of references and buffers fail, from the given one on, counted from now. 0:
// none fails.
void FailAllocation(int number);
// Number of allocations since FailAllocation or Reset.
int Allocations();

}  // namespace stand_in

#endif  // AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_KEYCHAIN_STAND_IN_H_
