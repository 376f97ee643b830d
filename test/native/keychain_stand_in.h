// A stand-in for the parts of CoreFoundation and Security that the Keychain store uses, for systems
// that have none. Written from Apple's documentation: it shows what the store does with the calls,
// not what macOS does. Reference counts are kept as CoreFoundation keeps them, and each mistake
// with them is counted.

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
  double created = 1000;
  double modified = 1000;
  // Whoever reads the value has to be let in by the user first.
  bool asks = false;
  // There is an item, and no value in it.
  bool has_value = true;
};

struct Keychain {
  // By service and account.
  std::map<std::pair<std::string, std::string>, Item> items;
  // What the next call of a function ends with, whatever it is asked for; by the function's name.
  std::map<std::string, int32_t> next_status;
  // Called at the beginning of each call, with the function's name.
  std::function<void(const std::string&)> on_call;
  bool interaction_allowed = true;
  int reads_of_values = 0;
  int updates = 0;
  int additions = 0;
};

// Everything as at the beginning. Questions that are open are answered with "no".
void Reset();

// To be used by one thread at a time, or within on_call.
Keychain& TheKeychain();

// Answers the question that is on the screen, or the next one.
void Answer(bool is_allowed);
// Whether a question is on the screen.
bool IsAsking();

// Objects that were made and not freed; frees of what was freed before; uses of what was freed.
int LiveObjects();
int BadReleases();

// Lets the creation of objects fail from the given one on, counted from now; 0: none.
void FailAllocation(int number);
// How many objects were asked for since FailAllocation or Reset.
int Allocations();

}  // namespace stand_in

#endif  // AZURE_SHARED_TOKEN_CACHE_TEST_NATIVE_KEYCHAIN_STAND_IN_H_
