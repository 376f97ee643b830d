// Generic passwords of the login keychain of macOS, one item a cache. An item is written in place:
// deleting and adding it would reset its access list, and every other program would have to ask the
// user again.
//
// The keychain that files hold, not the data protection keychain: that is where MSAL for .NET,
// Python, Node, Java and Go keep their caches, and the other one is closed to programs without an
// entitlement. Reading may make macOS ask the user whether this program may use the item; writing
// in the background does not ask. Whoever waits for an answer waits until the deadline, not longer.

#include <dlfcn.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../item_commit.h"
#include "../secret_source.h"
#include "../secret_store.h"
#include "keychain_api_mac.h"

namespace stc {

namespace {

constexpr char kDomain[] = "OSStatus";

// Names of the location's attributes, as src/locations.ts writes them.
constexpr char kService[] = "service";
constexpr char kAccount[] = "account";

// Owns an object of CoreFoundation.
template <typename Ref>
class Owned {
 public:
  explicit Owned(Ref ref = nullptr) : ref_(ref) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (ref_ != nullptr) CFRelease(ref_);
  }

  Ref get() const { return ref_; }
  // For functions that give an object away.
  Ref* address() { return &ref_; }

 private:
  Ref ref_;
};

CFStringRef NewString(const std::string& text) {
  return CFStringCreateWithBytes(nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                                 static_cast<CFIndex>(text.size()), kCFStringEncodingUTF8, 0);
}

// Pairs of keys and values, which the dictionary retains.
class Dictionary {
 public:
  void Add(CFStringRef key, CFTypeRef value) {
    is_complete_ = is_complete_ && value != nullptr;
    keys_.push_back(key);
    values_.push_back(value);
  }

  // nullptr if memory ran out.
  CFDictionaryRef New() {
    if (!is_complete_) return nullptr;
    return CFDictionaryCreate(nullptr, keys_.data(), values_.data(),
                              static_cast<CFIndex>(keys_.size()), &kCFTypeDictionaryKeyCallBacks,
                              &kCFTypeDictionaryValueCallBacks);
  }

 private:
  std::vector<const void*> keys_;
  std::vector<const void*> values_;
  bool is_complete_ = true;
};

Status OutOfMemory() {
  return Status(StatusCode::kIo, "CFDictionaryCreate", "", 0, "Memory ran out.");
}

Status ToStatus(const char* operation, OSStatus code) {
  const auto failed = [&](StatusCode status, const char* message) {
    return Status(status, operation, kDomain, code, message);
  };
  switch (code) {
    case errSecSuccess:
      return Status::Ok();
    case errSecItemNotFound:
      return Status::NotFound();
    case errSecInteractionNotAllowed:
    case errSecInteractionRequired:
      return failed(StatusCode::kStoreLocked,
                    "The keychain is locked or wants to ask the user, and nobody can be asked "
                    "here. Log in at the screen, or run security unlock-keychain.");
    case errSecUserCanceled:
      return failed(StatusCode::kStoreDenied,
                    "The user did not let this program use the keychain item. Try again, and "
                    "choose to always allow it.");
    case errSecAuthFailed:
    case errSecNoAccessForItem:
    case errSecMissingEntitlement:
      return failed(StatusCode::kStoreDenied,
                    "The keychain refuses this program. Add it to the access control of the item "
                    "in Keychain Access, or sign in again.");
    case errSecReadOnly:
      return failed(StatusCode::kStoreDenied,
                    "The keychain cannot be written. Check its permissions in Keychain Access.");
    case errSecNoSuchKeychain:
    case errSecNoDefaultKeychain:
    case errSecNotAvailable:
      return failed(StatusCode::kStoreUnavailable,
                    "There is no keychain. Run as the user who signed in, in a session of theirs, "
                    "or make a login keychain in Keychain Access.");
    default:
      return failed(StatusCode::kIo,
                    "The keychain failed. Run security error with the number for what it means.");
  }
}

// ---- Calls that may stall ----

// A call that waits for the user cannot be taken back, and may run on when nobody waits for it any
// longer: the code that it returns to has to stay.
void KeepLoaded() {
  static const bool is_kept = [] {
    Dl_info info;
    return dladdr(reinterpret_cast<const void*>(&KeepLoaded), &info) != 0 &&
           dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) != nullptr;
  }();
  (void)is_kept;
}

// Runs `call` on a thread of its own until the limits are over. What the call uses has to belong to
// it: it is left alone then.
Status RunWithin(const CallLimits& limits, const char* operation, std::function<Status()> call) {
  struct Run {
    std::mutex mutex;
    Cancellation* waiter;
    std::atomic<bool> is_done{false};
    Status status;
  };

  KeepLoaded();
  const auto run = std::make_shared<Run>();
  run->waiter = limits.cancellation;
  std::thread([run, call = std::move(call)] {
    Status status = call();
    const std::lock_guard<std::mutex> lock(run->mutex);
    run->status = std::move(status);
    run->is_done = true;
    if (run->waiter != nullptr) run->waiter->Notify();
  }).detach();
  limits.cancellation->WaitUntil(limits.deadline, [&] { return run->is_done.load(); });
  const std::lock_guard<std::mutex> lock(run->mutex);
  run->waiter = nullptr;
  if (run->is_done) return run->status;
  return Status(StatusCode::kStoreTimeout, operation, "", 0,
                "The keychain did not answer in time. Look for a question on the screen, or raise "
                "keyringTimeoutInMs.");
}

// ---- Items ----

struct ItemName {
  std::string service;
  std::string account;
};

ItemName NameOf(const StoreLocation& at) {
  ItemName name;
  for (const auto& [key, value] : at.attributes) {
    if (key == kService) name.service = value;
    if (key == kAccount) name.account = value;
  }
  return name;
}

// What a reading of an item gave.
struct Reading {
  SecureBytes text;
  std::string stamp;
  double modified_ms = 0;
};

// The query for an item, and what it takes to make it.
class Query {
 public:
  explicit Query(const ItemName& name)
      : service_(NewString(name.service)), account_(NewString(name.account)) {
    fields_.Add(kSecClass, kSecClassGenericPassword);
    fields_.Add(kSecAttrService, service_.get());
    fields_.Add(kSecAttrAccount, account_.get());
  }

  Dictionary& fields() { return fields_; }

 private:
  const Owned<CFStringRef> service_;
  const Owned<CFStringRef> account_;
  Dictionary fields_;
};

// Unix milliseconds; 0 if the attribute is missing.
double TimeOf(CFDictionaryRef item, CFStringRef attribute) {
  const auto* const date = static_cast<CFDateRef>(CFDictionaryGetValue(item, attribute));
  if (date == nullptr) return 0;
  return (CFDateGetAbsoluteTime(date) + kCFAbsoluteTimeIntervalSince1970) * 1e3;
}

Status Read(const ItemName& name, bool with_text, Reading* reading) {
  Query query(name);
  query.fields().Add(kSecMatchLimit, kSecMatchLimitOne);
  query.fields().Add(kSecReturnAttributes, kCFBooleanTrue);
  if (with_text) query.fields().Add(kSecReturnData, kCFBooleanTrue);
  const Owned<CFDictionaryRef> dictionary(query.fields().New());
  if (dictionary.get() == nullptr) return OutOfMemory();
  constexpr char kOperation[] = "SecItemCopyMatching";
  Owned<CFTypeRef> result;
  Status status = ToStatus(kOperation, SecItemCopyMatching(dictionary.get(), result.address()));
  if (!status.ok()) return status;
  const auto* const item = static_cast<CFDictionaryRef>(result.get());
  if (item == nullptr)
    return Status(StatusCode::kIo, kOperation, kDomain, 0, "The keychain gave nothing.");
  reading->modified_ms = TimeOf(item, kSecAttrModificationDate);
  reading->stamp = std::to_string(static_cast<int64_t>(TimeOf(item, kSecAttrCreationDate))) + ":" +
                   std::to_string(static_cast<int64_t>(reading->modified_ms));
  if (!with_text) return Status::Ok();
  const auto* const data = static_cast<CFDataRef>(CFDictionaryGetValue(item, kSecValueData));
  // An item without a value: a cache that was emptied.
  if (data == nullptr) return Status::Ok();
  const auto size = static_cast<size_t>(CFDataGetLength(data));
  reading->text = SecureBytes(size);
  if (size > 0) std::memcpy(reading->text.data(), CFDataGetBytePtr(data), size);
  return Status::Ok();
}

// Borrows the bytes: no copy is left that nobody wipes.
CFDataRef NewData(const SecureBytes& text) {
  return CFDataCreateWithBytesNoCopy(nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                                     static_cast<CFIndex>(text.size()), kCFAllocatorNull);
}

Status Update(const ItemName& name, const SecureBytes& text) {
  Query query(name);
  const Owned<CFDictionaryRef> which(query.fields().New());
  const Owned<CFDataRef> data(NewData(text));
  Dictionary changes;
  changes.Add(kSecValueData, data.get());
  const Owned<CFDictionaryRef> change(changes.New());
  if (which.get() == nullptr || change.get() == nullptr) return OutOfMemory();
  return ToStatus("SecItemUpdate", SecItemUpdate(which.get(), change.get()));
}

Status Add(const ItemName& name, const SecureBytes& text) {
  Query query(name);
  const Owned<CFDataRef> data(NewData(text));
  query.fields().Add(kSecValueData, data.get());
  const Owned<CFDictionaryRef> attributes(query.fields().New());
  if (attributes.get() == nullptr) return OutOfMemory();
  const OSStatus code = SecItemAdd(attributes.get(), nullptr);
  // Somebody was faster.
  return code == errSecDuplicateItem ? Status::NotFound() : ToStatus("SecItemAdd", code);
}

// While one is alive, the keychain fails instead of asking the user. The switch is the process's:
// others who set it are undone for as long.
class NoQuestions {
 public:
  NoQuestions() : lock_(mutex()) {
    if (SecKeychainGetUserInteractionAllowed(&before_) != errSecSuccess) before_ = 1;
    if (before_) SecKeychainSetUserInteractionAllowed(0);
  }
  NoQuestions(const NoQuestions&) = delete;
  NoQuestions& operator=(const NoQuestions&) = delete;
  ~NoQuestions() {
    if (before_) SecKeychainSetUserInteractionAllowed(before_);
  }

 private:
  static std::mutex& mutex() {
    // Never freed: a call that was left alone may end after everything else.
    static auto* const mutex = new std::mutex;
    return *mutex;
  }

  const std::lock_guard<std::mutex> lock_;
  Boolean before_ = 1;
};

class KeychainItem : public KeyringItem {
 public:
  KeychainItem(ItemName name, const CallLimits& limits) : name_(std::move(name)), limits_(limits) {}

  Status Load(SecureBytes* text, std::string* stamp) override {
    const auto reading = std::make_shared<Reading>();
    Status status = RunWithin(limits_, "SecItemCopyMatching", [name = name_, reading] {
      const NoQuestions no_questions;
      return Read(name, true, reading.get());
    });
    if (!status.ok()) return status;
    *text = std::move(reading->text);
    *stamp = std::move(reading->stamp);
    return status;
  }

  Status Replace(const SecureBytes& text) override { return Write("SecItemUpdate", Update, text); }
  Status Create(const SecureBytes& text) override { return Write("SecItemAdd", Add, text); }

  Status Stamp(std::string* stamp) override {
    const auto reading = std::make_shared<Reading>();
    Status status = RunWithin(limits_, "SecItemCopyMatching", [name = name_, reading] {
      const NoQuestions no_questions;
      return Read(name, false, reading.get());
    });
    if (status.ok()) *stamp = std::move(reading->stamp);
    return status;
  }

 private:
  template <typename Function>
  Status Write(const char* operation, Function function, const SecureBytes& text) {
    // A call that outlives its deadline needs a copy of its own.
    const auto copy = std::make_shared<SecureBytes>(text.size());
    if (text.size() > 0) std::memcpy(copy->data(), text.data(), text.size());
    return RunWithin(limits_, operation, [name = name_, copy, function] {
      const NoQuestions no_questions;
      return function(name, *copy);
    });
  }

  const ItemName name_;
  const CallLimits& limits_;
};

class KeychainStore : public SecretStore {
 public:
  const char* name() const override { return "keychain"; }
  bool may_stall() const override { return true; }

  Status Open(const StoreLocation& at, const CallLimits& limits,
              std::unique_ptr<ByteSource>* source) const override {
    const auto reading = std::make_shared<Reading>();
    Status status = RunWithin(limits, "SecItemCopyMatching", [name = NameOf(at), reading] {
      return Read(name, true, reading.get());
    });
    if (!status.ok()) return status;
    *source = std::make_unique<SecretSource>(std::move(reading->text), std::move(reading->stamp),
                                             reading->modified_ms);
    return status;
  }

  Status Stamp(const StoreLocation& at, const CallLimits& limits,
               std::string* stamp) const override {
    return KeychainItem(NameOf(at), limits).Stamp(stamp);
  }

  Status Commit(const StoreLocation& at, const CommitRequest& request, const CallLimits& limits,
                LockSet* locks, CommitResult* result) const override {
    KeychainItem item(NameOf(at), limits);
    return CommitItem(request, &item, locks, result);
  }
};

REGISTER_STORE(KeychainStore, 0);

}  // namespace

}  // namespace stc
