#include "keychain_stand_in.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <vector>

#include "stores/keychain_api_mac.h"

// Stands for one reference to an item.
struct OpaqueSecKeychainItemRef {
  std::pair<std::string, std::string> name;
  int number = 0;
  bool is_live = true;
};

namespace {

using Reference = OpaqueSecKeychainItemRef;

struct Buffer {
  std::vector<char> bytes;
  bool is_secret = false;
};

struct World {
  std::recursive_mutex mutex;
  std::condition_variable_any changed;
  stand_in::Keychain keychain;
  // Released references stay in memory, to detect a use after release.
  std::deque<Reference> references;
  // By address of the bytes.
  std::map<const void*, Buffer> buffers;
  int live_references = 0;
  int mistakes = 0;
  int allocations = 0;
  int fail_from = 0;
  int items_made = 0;
  int open_questions = 0;
  bool has_answer = false;
  bool answer = false;
};

World& TheWorld() {
  static auto* const world = new World;
  return *world;
}

using Guard = std::lock_guard<std::recursive_mutex>;

bool IsMemoryOut() {
  World& world = TheWorld();
  ++world.allocations;
  return world.fail_from != 0 && world.allocations >= world.fail_from;
}

// Returns nullptr if the allocation is to fail.
void* NewBuffer(const std::string& text, bool is_secret) {
  if (IsMemoryOut()) return nullptr;
  // At least one byte, so that each buffer has a different address.
  Buffer buffer = {std::vector<char>(text.size() + 1), is_secret};
  std::copy(text.begin(), text.end(), buffer.bytes.begin());
  void* const data = buffer.bytes.data();
  TheWorld().buffers.emplace(data, std::move(buffer));
  return data;
}

void FreeBuffer(void* data) {
  if (data == nullptr) return;
  World& world = TheWorld();
  const auto found = world.buffers.find(data);
  if (found == world.buffers.end()) {
    ++world.mistakes;
    return;
  }
  const Buffer& buffer = found->second;
  const auto is_zero = [](char c) { return c == 0; };
  if (buffer.is_secret && !std::all_of(buffer.bytes.begin(), buffer.bytes.end(), is_zero)) {
    ++world.mistakes;
  }
  world.buffers.erase(found);
}

constexpr OSStatus kNoStatus = 1;

// Start of every call. Returns kNoStatus if the call continues. The mutex is not held while on_call
// runs.
OSStatus Begin(const char* function, std::unique_lock<std::recursive_mutex>* lock) {
  stand_in::Keychain& keychain = TheWorld().keychain;
  const auto on_call = keychain.on_call;
  if (on_call) {
    lock->unlock();
    on_call(function);
    lock->lock();
  }
  const auto status = keychain.next_status.find(function);
  if (status == keychain.next_status.end()) return kNoStatus;
  const OSStatus code = status->second;
  keychain.next_status.erase(status);
  return code;
}

// Returns the item of a reference, or nullptr if it was deleted.
stand_in::Item* ItemOf(const Reference* reference) {
  World& world = TheWorld();
  if (!reference->is_live) ++world.mistakes;
  const auto found = world.keychain.items.find(reference->name);
  if (found == world.keychain.items.end() || found->second.number != reference->number) {
    return nullptr;
  }
  return &found->second;
}

// Asks the user if the item requires it. The mutex is not held meanwhile.
OSStatus Ask(const Reference* reference, std::unique_lock<std::recursive_mutex>* lock) {
  World& world = TheWorld();
  stand_in::Item* item = ItemOf(reference);
  if (item == nullptr) return errSecInvalidItemRef;
  if (!item->asks) return errSecSuccess;
  if (!world.keychain.interaction_allowed) return world.keychain.status_without_questions;
  ++world.open_questions;
  ++world.keychain.questions;
  world.changed.wait(*lock, [&] { return world.has_answer; });
  --world.open_questions;
  world.has_answer = false;
  world.changed.notify_all();
  if (!world.answer) return errSecUserCanceled;
  item = ItemOf(reference);
  if (item == nullptr) return errSecInvalidItemRef;
  if (item->remembers) item->asks = false;
  return errSecSuccess;
}

std::pair<std::string, std::string> NameOf(UInt32 service_size, const char* service,
                                           UInt32 account_size, const char* account) {
  return {std::string(service, service_size), std::string(account, account_size)};
}

// Returns the date one second later.
std::string Later(std::string time) {
  for (size_t i = time.size() - 1; i-- > 0;) {
    if (time[i] != '9') {
      ++time[i];
      break;
    }
    time[i] = '0';
  }
  return time;
}

}  // namespace

extern "C" {

void CFRelease(CFTypeRef object) {
  const Guard guard(TheWorld().mutex);
  auto* const reference = static_cast<Reference*>(const_cast<void*>(object));
  if (!reference->is_live) {
    ++TheWorld().mistakes;
    return;
  }
  reference->is_live = false;
  --TheWorld().live_references;
}

OSStatus SecKeychainFindGenericPassword(CFTypeRef /*keychains*/, UInt32 service_size,
                                        const char* service, UInt32 account_size,
                                        const char* account, UInt32* size, void** data,
                                        SecKeychainItemRef* item) {
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  const OSStatus status = Begin("SecKeychainFindGenericPassword", &lock);
  if (status != kNoStatus) return status;
  // The store must read the value with SecKeychainItemCopyContent, which returns the dates of the
  // same moment.
  if (size != nullptr || data != nullptr) ++world.mistakes;
  const auto found =
      world.keychain.items.find(NameOf(service_size, service, account_size, account));
  if (found == world.keychain.items.end()) return errSecItemNotFound;
  if (IsMemoryOut()) return errSecAllocate;
  world.references.push_back({found->first, found->second.number});
  *item = &world.references.back();
  ++world.live_references;
  return errSecSuccess;
}

OSStatus SecKeychainAddGenericPassword(SecKeychainRef /*keychain*/, UInt32 service_size,
                                       const char* service, UInt32 account_size,
                                       const char* account, UInt32 size, const void* data,
                                       SecKeychainItemRef* /*item*/) {
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  const OSStatus status = Begin("SecKeychainAddGenericPassword", &lock);
  if (status != kNoStatus) return status;
  const auto name = NameOf(service_size, service, account_size, account);
  if (world.keychain.items.count(name) > 0) return errSecDuplicateItem;
  if (IsMemoryOut()) return errSecAllocate;
  stand_in::Put(name, std::string(static_cast<const char*>(data), size));
  ++world.keychain.additions;
  return errSecSuccess;
}

OSStatus SecKeychainItemCopyContent(SecKeychainItemRef reference, SecItemClass* /*item_class*/,
                                    SecKeychainAttributeList* attributes, UInt32* size,
                                    void** data) {
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  const OSStatus status = Begin("SecKeychainItemCopyContent", &lock);
  if (status != kNoStatus) return status;
  if (data != nullptr) {
    const OSStatus asked = Ask(reference, &lock);
    if (asked != errSecSuccess) return asked;
    ++world.keychain.reads_of_values;
  }
  const stand_in::Item* const item = ItemOf(reference);
  if (item == nullptr) return errSecInvalidItemRef;
  void* value = nullptr;
  if (data != nullptr) {
    value = NewBuffer(item->value, true);
    if (value == nullptr) return errSecAllocate;
  }
  for (UInt32 i = 0; i < attributes->count; ++i) {
    SecKeychainAttribute& attribute = attributes->attr[i];
    const bool is_created = attribute.tag == kSecCreationDateItemAttr;
    if (!is_created && attribute.tag != kSecModDateItemAttr) ++world.mistakes;
    attribute.length = 0;
    attribute.data = nullptr;
    if (!world.keychain.has_dates) continue;
    // Includes the terminating NUL, as macOS does.
    const std::string date = (is_created ? item->created : item->modified) + '\0';
    attribute.data = NewBuffer(date, false);
    if (attribute.data != nullptr) {
      attribute.length = static_cast<UInt32>(date.size());
      continue;
    }
    for (UInt32 j = 0; j < i; ++j) FreeBuffer(attributes->attr[j].data);
    if (value != nullptr) {
      std::memset(value, 0, item->value.size());
      FreeBuffer(value);
    }
    return errSecAllocate;
  }
  if (data != nullptr) {
    *data = value;
    *size = static_cast<UInt32>(item->value.size());
  }
  return errSecSuccess;
}

OSStatus SecKeychainItemFreeContent(SecKeychainAttributeList* attributes, void* data) {
  const Guard guard(TheWorld().mutex);
  for (UInt32 i = 0; attributes != nullptr && i < attributes->count; ++i) {
    FreeBuffer(attributes->attr[i].data);
  }
  FreeBuffer(data);
  return errSecSuccess;
}

OSStatus SecKeychainItemModifyAttributesAndData(SecKeychainItemRef reference,
                                                const SecKeychainAttributeList* attributes,
                                                UInt32 size, const void* data) {
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  const OSStatus status = Begin("SecKeychainItemModifyAttributesAndData", &lock);
  if (status != kNoStatus) return status;
  const OSStatus asked = Ask(reference, &lock);
  if (asked != errSecSuccess) return asked;
  stand_in::Item* const item = ItemOf(reference);
  if (item == nullptr) return errSecInvalidItemRef;
  if (IsMemoryOut()) return errSecAllocate;
  // The store must not change attributes.
  if (attributes != nullptr) ++world.mistakes;
  item->value.assign(static_cast<const char*>(data), size);
  item->modified = Later(item->modified);
  ++world.keychain.updates;
  return errSecSuccess;
}

OSStatus SecKeychainGetUserInteractionAllowed(Boolean* is_allowed) {
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  const OSStatus status = Begin("SecKeychainGetUserInteractionAllowed", &lock);
  if (status != kNoStatus) return status;
  *is_allowed = world.keychain.interaction_allowed;
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
  World& world = TheWorld();
  std::unique_lock<std::recursive_mutex> lock(world.mutex);
  while (world.open_questions > 0) {
    world.answer = false;
    world.has_answer = true;
    world.changed.notify_all();
    world.changed.wait(lock);
  }
  world.keychain = Keychain();
  world.allocations = 0;
  world.fail_from = 0;
  world.has_answer = false;
}

Item& Put(const std::pair<std::string, std::string>& name, const std::string& value) {
  const Guard guard(TheWorld().mutex);
  Item& item = TheWorld().keychain.items[name];
  item = Item();
  item.value = value;
  item.number = ++TheWorld().items_made;
  return item;
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
  return TheWorld().open_questions > 0;
}

int LiveObjects() {
  const Guard guard(TheWorld().mutex);
  return TheWorld().live_references + static_cast<int>(TheWorld().buffers.size());
}

int Mistakes() {
  const Guard guard(TheWorld().mutex);
  return TheWorld().mistakes;
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
