#include "keychain_stand_in.h"

#include <condition_variable>
#include <mutex>
#include <vector>

#include "stores/keychain_api_mac.h"

namespace {

enum class Kind { kString, kData, kDate, kBoolean, kDictionary };

struct Object {
  Kind kind;
  std::string text;
  const uint8_t* bytes = nullptr;
  size_t size = 0;
  double time = 0;
  std::vector<std::pair<const Object*, const Object*>> pairs;
  // Constants are never freed.
  bool is_constant = false;
  mutable int references = 1;
};

struct World {
  std::recursive_mutex mutex;
  std::condition_variable_any changed;
  stand_in::Keychain keychain;
  int live = 0;
  int bad_releases = 0;
  int allocations = 0;
  int fail_from = 0;
  int questions = 0;
  bool has_answer = false;
  bool answer = false;
};

World& TheWorld() {
  static auto* const world = new World;
  return *world;
}

using Guard = std::lock_guard<std::recursive_mutex>;

Object* Constant(const char* name) {
  auto* const object = new Object;
  object->kind = Kind::kString;
  object->text = name;
  object->is_constant = true;
  return object;
}

// nullptr as where memory ran out.
Object* New(Kind kind) {
  World& world = TheWorld();
  ++world.allocations;
  if (world.fail_from != 0 && world.allocations >= world.fail_from) return nullptr;
  auto* const object = new Object;
  object->kind = kind;
  ++world.live;
  return object;
}

const Object* ToObject(const void* reference) { return static_cast<const Object*>(reference); }

void Retain(const Object* object) {
  if (!object->is_constant) ++object->references;
}

// Objects that are freed stay in memory, so that a use after it is seen.
void Release(const Object* object) {
  if (object->is_constant) return;
  World& world = TheWorld();
  if (object->references <= 0) {
    ++world.bad_releases;
    return;
  }
  if (--object->references > 0) return;
  --world.live;
  for (const auto& [key, value] : object->pairs) {
    Release(key);
    Release(value);
  }
}

const Object* Find(const Object* dictionary, const void* key) {
  if (dictionary->references <= 0) ++TheWorld().bad_releases;
  for (const auto& [each, value] : dictionary->pairs) {
    if (each == key) return value;
  }
  return nullptr;
}

Object* NewDictionary(const std::vector<std::pair<const void*, Object*>>& pairs) {
  Object* const dictionary = New(Kind::kDictionary);
  for (const auto& [key, value] : pairs) {
    if (value == nullptr) continue;
    if (dictionary == nullptr) {
      Release(value);
    } else {
      // Takes over the value.
      dictionary->pairs.emplace_back(ToObject(key), value);
    }
  }
  return dictionary;
}

Object* NewDate(double time) {
  Object* const date = New(Kind::kDate);
  if (date != nullptr) date->time = time;
  return date;
}

}  // namespace

extern "C" {

struct CFDictionaryKeyCallBacks {
  int unused;
};
struct CFDictionaryValueCallBacks {
  int unused;
};
const CFDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks = {0};
const CFDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks = {0};

#define STAND_IN_CONSTANT(Type, name) \
  const Type name = reinterpret_cast<Type>(static_cast<const void*>(Constant(#name)))
STAND_IN_CONSTANT(CFAllocatorRef, kCFAllocatorNull);
STAND_IN_CONSTANT(CFBooleanRef, kCFBooleanTrue);
STAND_IN_CONSTANT(CFStringRef, kSecClass);
STAND_IN_CONSTANT(CFStringRef, kSecClassGenericPassword);
STAND_IN_CONSTANT(CFStringRef, kSecAttrService);
STAND_IN_CONSTANT(CFStringRef, kSecAttrAccount);
STAND_IN_CONSTANT(CFStringRef, kSecAttrCreationDate);
STAND_IN_CONSTANT(CFStringRef, kSecAttrModificationDate);
STAND_IN_CONSTANT(CFStringRef, kSecMatchLimit);
STAND_IN_CONSTANT(CFStringRef, kSecMatchLimitOne);
STAND_IN_CONSTANT(CFStringRef, kSecReturnAttributes);
STAND_IN_CONSTANT(CFStringRef, kSecReturnData);
STAND_IN_CONSTANT(CFStringRef, kSecValueData);

void CFRelease(CFTypeRef object) {
  const Guard guard(TheWorld().mutex);
  Release(ToObject(object));
}

CFStringRef CFStringCreateWithBytes(CFAllocatorRef /*allocator*/, const uint8_t* bytes,
                                    CFIndex size, uint32_t encoding, Boolean /*is_external*/) {
  const Guard guard(TheWorld().mutex);
  if (encoding != kCFStringEncodingUTF8) return nullptr;
  Object* const string = New(Kind::kString);
  if (string != nullptr) {
    string->text.assign(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  }
  return reinterpret_cast<CFStringRef>(string);
}

CFDataRef CFDataCreateWithBytesNoCopy(CFAllocatorRef /*allocator*/, const uint8_t* bytes,
                                      CFIndex size, CFAllocatorRef deallocator) {
  const Guard guard(TheWorld().mutex);
  // Any other would free what is not its own.
  if (deallocator != kCFAllocatorNull) ++TheWorld().bad_releases;
  Object* const data = New(Kind::kData);
  if (data != nullptr) {
    data->bytes = bytes;
    data->size = static_cast<size_t>(size);
  }
  return reinterpret_cast<CFDataRef>(data);
}

CFIndex CFDataGetLength(CFDataRef data) { return static_cast<CFIndex>(ToObject(data)->size); }
const uint8_t* CFDataGetBytePtr(CFDataRef data) { return ToObject(data)->bytes; }
CFAbsoluteTime CFDateGetAbsoluteTime(CFDateRef date) { return ToObject(date)->time; }

CFDictionaryRef CFDictionaryCreate(CFAllocatorRef /*allocator*/, const void** keys,
                                   const void** values, CFIndex size,
                                   const CFDictionaryKeyCallBacks* key_callbacks,
                                   const CFDictionaryValueCallBacks* value_callbacks) {
  const Guard guard(TheWorld().mutex);
  if (key_callbacks != &kCFTypeDictionaryKeyCallBacks ||
      value_callbacks != &kCFTypeDictionaryValueCallBacks) {
    ++TheWorld().bad_releases;
  }
  Object* const dictionary = New(Kind::kDictionary);
  if (dictionary == nullptr) return nullptr;
  for (CFIndex i = 0; i < size; ++i) {
    Retain(ToObject(keys[i]));
    Retain(ToObject(values[i]));
    dictionary->pairs.emplace_back(ToObject(keys[i]), ToObject(values[i]));
  }
  return reinterpret_cast<CFDictionaryRef>(dictionary);
}

const void* CFDictionaryGetValue(CFDictionaryRef dictionary, const void* key) {
  const Guard guard(TheWorld().mutex);
  return Find(ToObject(dictionary), key);
}

}  // extern "C"

namespace {

constexpr OSStatus kNoStatus = 1;

// What every call begins with. kNoStatus: it goes on.
OSStatus Begin(const char* function) {
  stand_in::Keychain& keychain = TheWorld().keychain;
  if (keychain.on_call) keychain.on_call(function);
  const auto status = keychain.next_status.find(function);
  if (status == keychain.next_status.end()) return kNoStatus;
  const OSStatus code = status->second;
  keychain.next_status.erase(status);
  return code;
}

std::pair<std::string, std::string> NameIn(const Object* query) {
  const Object* const service = Find(query, kSecAttrService);
  const Object* const account = Find(query, kSecAttrAccount);
  return {service == nullptr ? "" : service->text, account == nullptr ? "" : account->text};
}

// Asks the user, where that is wanted. The lock is free meanwhile.
OSStatus Ask(const stand_in::Item& item, std::unique_lock<std::recursive_mutex>* lock) {
  World& world = TheWorld();
  if (!item.asks) return errSecSuccess;
  if (!world.keychain.interaction_allowed) return errSecInteractionNotAllowed;
  ++world.questions;
  world.changed.wait(*lock, [&] { return world.has_answer; });
  --world.questions;
  world.has_answer = false;
  world.changed.notify_all();
  return world.answer ? errSecSuccess : errSecUserCanceled;
}

void SetValue(stand_in::Item* item, const Object* data) {
  item->value.assign(reinterpret_cast<const char*>(data->bytes), data->size);
  item->has_value = true;
  item->modified += 1;
}

}  // namespace

extern "C" {

OSStatus SecItemCopyMatching(CFDictionaryRef reference, CFTypeRef* result) {
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  const OSStatus status = Begin("SecItemCopyMatching");
  if (status != kNoStatus) return status;
  const Object* const query = ToObject(reference);
  const auto name = NameIn(query);
  if (world.keychain.items.find(name) == world.keychain.items.end()) return errSecItemNotFound;
  const bool with_value = Find(query, kSecReturnData) != nullptr;
  if (with_value) {
    const OSStatus asked = Ask(world.keychain.items[name], &lock);
    if (asked != errSecSuccess) return asked;
    ++world.keychain.reads_of_values;
  }
  const auto found = world.keychain.items.find(name);
  if (found == world.keychain.items.end()) return errSecItemNotFound;
  const stand_in::Item& item = found->second;
  std::vector<std::pair<const void*, Object*>> pairs = {
      {kSecAttrCreationDate, NewDate(item.created)},
      {kSecAttrModificationDate, NewDate(item.modified)},
  };
  if (with_value && item.has_value) {
    Object* const data = New(Kind::kData);
    if (data != nullptr) {
      data->text = item.value;
      data->bytes = reinterpret_cast<const uint8_t*>(data->text.data());
      data->size = data->text.size();
    }
    pairs.emplace_back(kSecValueData, data);
  }
  *result = NewDictionary(pairs);
  return errSecSuccess;
}

OSStatus SecItemUpdate(CFDictionaryRef query, CFDictionaryRef changes) {
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  const OSStatus status = Begin("SecItemUpdate");
  if (status != kNoStatus) return status;
  const auto found = world.keychain.items.find(NameIn(ToObject(query)));
  if (found == world.keychain.items.end()) return errSecItemNotFound;
  const OSStatus asked = Ask(found->second, &lock);
  if (asked != errSecSuccess) return asked;
  SetValue(&found->second, Find(ToObject(changes), kSecValueData));
  ++world.keychain.updates;
  return errSecSuccess;
}

OSStatus SecItemAdd(CFDictionaryRef attributes, CFTypeRef* /*result*/) {
  World& world = TheWorld();
  const Guard guard(world.mutex);
  const OSStatus status = Begin("SecItemAdd");
  if (status != kNoStatus) return status;
  const auto [item, is_new] = world.keychain.items.try_emplace(NameIn(ToObject(attributes)));
  if (!is_new) return errSecDuplicateItem;
  SetValue(&item->second, Find(ToObject(attributes), kSecValueData));
  ++world.keychain.additions;
  return errSecSuccess;
}

OSStatus SecKeychainGetUserInteractionAllowed(Boolean* is_allowed) {
  const Guard guard(TheWorld().mutex);
  *is_allowed = TheWorld().keychain.interaction_allowed;
  return errSecSuccess;
}

OSStatus SecKeychainSetUserInteractionAllowed(Boolean is_allowed) {
  const Guard guard(TheWorld().mutex);
  TheWorld().keychain.interaction_allowed = is_allowed != 0;
  return errSecSuccess;
}

}  // extern "C"

namespace stand_in {

void Reset() {
  Answer(false);
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  world.changed.wait(lock, [&] { return world.questions == 0; });
  world.keychain = Keychain();
  world.bad_releases = 0;
  world.allocations = 0;
  world.fail_from = 0;
  world.has_answer = false;
}

Keychain& TheKeychain() { return TheWorld().keychain; }

void Answer(bool is_allowed) {
  World& world = TheWorld();
  {
    const Guard guard(world.mutex);
    world.answer = is_allowed;
    world.has_answer = true;
  }
  world.changed.notify_all();
}

bool IsAsking() {
  const Guard guard(TheWorld().mutex);
  return TheWorld().questions > 0;
}

int LiveObjects() {
  const Guard guard(TheWorld().mutex);
  return TheWorld().live;
}

int BadReleases() {
  const Guard guard(TheWorld().mutex);
  return TheWorld().bad_releases;
}

void FailAllocation(int number) {
  const Guard guard(TheWorld().mutex);
  TheWorld().fail_from = number;
  TheWorld().allocations = 0;
}

int Allocations() {
  const Guard guard(TheWorld().mutex);
  return TheWorld().allocations;
}

}  // namespace stand_in
