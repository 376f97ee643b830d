// Caches in generic password items of the macOS login keychain, one item per cache. An item is
// written in place: deleting and adding it would reset its access list, and macOS would ask the
// user again for every other program.
//
// Uses the file-based keychains, not the data protection keychain: MSAL for .NET, Python, Node,
// Java and Go keep their caches there, and the data protection keychain requires an entitlement.
// When this program reads an item, macOS may ask the user whether it may; writes never make macOS
// ask. Callers wait for the answer at most until their deadline.

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/no_destructor.h"
#include "io/memory_source.h"
#include "stores/item_commit.h"
#include "stores/keychain_api_mac.h"
#include "stores/keychain_calls_mac.h"
#include "stores/keychain_item_mac.h"
#include "stores/keychain_status_mac.h"
#include "stores/secret_store.h"

#if defined(__clang__)
// keychain_api_mac.h explains why these functions are used.
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
#endif

namespace stc {

namespace {

using Clock = std::chrono::steady_clock;

// Attribute names of a location, as in src/cache/locations/index.ts.
constexpr char kService[] = "service";
constexpr char kAccount[] = "account";

// After a refusal, the user is not asked about the same item again for this time.
constexpr std::chrono::seconds kRefusalLasts{60};

KeychainItemName NameOf(const StoreLocation& at) {
  KeychainItemName name;
  for (const auto& [key, value] : at.attributes) {
    if (key == kService) name.service = value;
    if (key == kAccount) name.account = value;
  }
  return name;
}

// While an instance exists, calls fail instead of asking the user.
class NoPrompts {
 public:
  NoPrompts() {
    if (SecKeychainGetUserInteractionAllowed(&before_) != errSecSuccess) before_ = 1;
    if (before_) SecKeychainSetUserInteractionAllowed(0);
  }
  NoPrompts(const NoPrompts&) = delete;
  NoPrompts& operator=(const NoPrompts&) = delete;
  ~NoPrompts() {
    if (before_) SecKeychainSetUserInteractionAllowed(before_);
  }

 private:
  Boolean before_ = 1;
};

// Items for which the user refused access. Without it, a program that gets tokens often would make
// macOS ask just as often.
class Refusals {
 public:
  static Refusals& Instance() { return NoDestructor<Refusals>(); }

  // Returns the refusal if it is recent, otherwise kOk.
  Status Recent(const KeychainItemName& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = refusals_.find(name);
    if (found == refusals_.end()) return Status::Ok();
    if (Clock::now() - found->second.since < kRefusalLasts) return found->second.status;
    refusals_.erase(found);
    return Status::Ok();
  }

  void Note(const KeychainItemName& name, const Status& status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status.os_code() == errSecUserCanceled) {
      refusals_[name] = {Clock::now(), status};
    } else if (status.ok()) {
      refusals_.erase(name);
    }
  }

 private:
  struct Refusal {
    Clock::time_point since;
    Status status;
  };

  std::mutex mutex_;
  std::map<KeychainItemName, Refusal> refusals_;
};

// Reads the item. macOS may ask the user, unless a recent refusal exists.
Status ReadWithPrompts(const KeychainItemName& name, KeychainReading* reading) {
  Refusals& refusals = Refusals::Instance();
  const Status refusal = refusals.Recent(name);
  if (refusal.ok()) {
    Status status = ReadKeychainItem(name, true, reading);
    refusals.Note(name, status);
    return status;
  }
  const NoPrompts no_prompts;
  Status status = ReadKeychainItem(name, true, reading);
  refusals.Note(name, status);
  const bool is_refused =
      status.code() == StatusCode::kStoreLocked || status.code() == StatusCode::kStoreDenied;
  return is_refused ? refusal : status;
}

Status ReadWithoutPrompts(const KeychainItemName& name, bool with_value, const CallLimits& limits,
                          std::shared_ptr<const KeychainCall>* call) {
  return KeychainCallQueue::Instance().Run(
      limits, "SecKeychainItemCopyContent", "",
      [name, with_value](const KeychainCall&, KeychainReading* reading) {
        const NoPrompts no_prompts;
        return ReadKeychainItem(name, with_value, reading);
      },
      call);
}

class KeychainItem : public KeyringItem {
 public:
  KeychainItem(KeychainItemName name, const CallLimits& limits)
      : name_(std::move(name)), limits_(limits) {}

  Status Load(SecureBytes* text, std::string* stamp) override {
    std::shared_ptr<const KeychainCall> call;
    Status status = ReadWithoutPrompts(name_, true, limits_, &call);
    if (!status.ok()) return status;
    *text = SecureBytes::CopyOf(call->reading().text.view());
    *stamp = call->reading().stamp;
    stamp_ = *stamp;
    return status;
  }

  Status Replace(const SecureBytes& text) override {
    return Write("SecKeychainItemModifyAttributesAndData", text,
                 [name = name_, stamp = stamp_](const SecureBytes& own, const auto& may_write) {
                   return ReplaceKeychainItem(name, stamp, own, may_write);
                 });
  }

  Status Create(const SecureBytes& text) override {
    return Write("SecKeychainAddGenericPassword", text,
                 [name = name_](const SecureBytes& own, const auto& may_write) {
                   return AddKeychainItem(name, own, may_write);
                 });
  }

  Status Stamp(std::string* stamp) override {
    std::shared_ptr<const KeychainCall> call;
    Status status = ReadWithoutPrompts(name_, false, limits_, &call);
    if (status.ok()) *stamp = call->reading().stamp;
    return status;
  }

 private:
  template <typename Function>
  Status Write(const char* operation, const SecureBytes& text, Function function) {
    if (text.size() > std::numeric_limits<UInt32>::max()) {
      return KeychainStatus(operation, errSecDataTooLarge);
    }
    // The call may outlive its deadline, so that it needs its own copy.
    const auto copy = std::make_shared<SecureBytes>(SecureBytes::CopyOf(text.view()));
    std::shared_ptr<const KeychainCall> call;
    return KeychainCallQueue::Instance().Run(
        limits_, operation, "",
        [copy, function](const KeychainCall& own_call, KeychainReading*) {
          const NoPrompts no_prompts;
          // After the deadline, the caller has released its locks, so that writing is not safe.
          return function(*copy, [&own_call] { return !own_call.is_abandoned(); });
        },
        &call);
  }

  const KeychainItemName name_;
  const CallLimits& limits_;
  // From the last Load.
  std::string stamp_;
};

class KeychainStore : public SecretStore {
 public:
  const char* name() const override { return "keychain"; }
  bool may_stall() const override { return true; }

  Status Open(const StoreLocation& at, const CallLimits& limits,
              std::unique_ptr<ByteSource>* source) const override {
    const KeychainItemName name = NameOf(at);
    std::shared_ptr<const KeychainCall> call;
    Status status = at.no_prompts ? ReadWithoutPrompts(name, true, limits, &call)
                                  : KeychainCallQueue::Instance().Run(
                                        limits, "SecKeychainItemCopyContent",
                                        name.service + '\0' + name.account,
                                        [name](const KeychainCall&, KeychainReading* reading) {
                                          return ReadWithPrompts(name, reading);
                                        },
                                        &call);
    if (!status.ok()) return status;
    const KeychainReading& reading = call->reading();
    *source = std::make_unique<MemorySource>(SecureBytes::CopyOf(reading.text.view()),
                                             reading.stamp, reading.modified_ms);
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
