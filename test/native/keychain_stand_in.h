// A stand-in for the parts of CoreFoundation and Security that the Keychain store uses, for systems
// that have none. Written from Apple's documentation: it shows what the store does with the calls,
// not what macOS does. References and buffers are counted as CoreFoundation and Security count
// them, and each mistake with them is counted, too.

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
  // As the keychain tells times: to the second, in UTC.
  std::string created = "20260131235901Z";
  std::string modified = "20260131235901Z";
  // Whoever reads the value has to be let in by the user first.
  bool asks = false;
  // The user's answer counts for all later calls.
  bool remembers = false;
  // A reference to an item that was deleted means no other one, of the same name or not.
  int number = 0;
};

struct Keychain {
  // By service and account.
  std::map<std::pair<std::string, std::string>, Item> items;
  // What the next call of a function ends with, whatever it is asked for; by the function's name.
  std::map<std::string, int32_t> next_status;
  // Called at the beginning of each call, with the function's name.
  std::function<void(const std::string&)> on_call;
  // What a call ends with that would have to ask, and may not.
  int32_t status_without_questions = -25308;
  bool interaction_allowed = true;
  bool has_dates = true;
  int reads_of_values = 0;
  int questions = 0;
  int updates = 0;
  int additions = 0;
};

// Everything as at the beginning. Questions that are open are answered with "no".
void Reset();

// Makes an item, or exchanges the one of that name for a new one.
Item& Put(const std::pair<std::string, std::string>& name, const std::string& value);

// To be used by one thread at a time, or within on_call.
Keychain& TheKeychain();

// Answers the question that is on the screen.
void Answer(bool is_allowed);
// Whether a question is on the screen.
bool IsAsking();

// References and buffers that were handed out and not given back.
int LiveObjects();
// Given back twice, used after that, or given back without having been wiped.
int Mistakes();

// Lets the making of references and buffers fail from the given one on, counted from now; 0: none.
void FailAllocation(int number);
// How many were asked for since FailAllocation or Reset.
int Allocations();

}  // namespace stand_in

#endif  // AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_KEYCHAIN_STAND_IN_H_
