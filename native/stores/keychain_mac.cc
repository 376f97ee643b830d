// Caches in generic password items of the macOS login keychain, one item per cache. An item is
// written in place: deleting and adding it would reset its access list, and macOS would ask the
// user again for every other program.
//
// Uses the file-based keychains, not the data protection keychain: MSAL for .NET, Python, Node,
// Java and Go keep their caches there, and the data protection keychain requires an entitlement.
// When this program reads an item, macOS may ask the user whether it may; writes never make macOS
// ask. Callers wait for the answer at most until their deadline.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "base/keep_loaded.h"
#include "base/no_destructor.h"
#include "io/memory_source.h"
#include "stores/item_commit.h"
#include "stores/keychain_api_mac.h"
#include "stores/secret_store.h"

#if defined(__clang__)
// keychain_api_mac.h explains why these functions are used.
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
#endif

namespace stc {

namespace {

using Clock = std::chrono::steady_clock;

constexpr char kDomain[] = "OSStatus";

// Attribute names of a location, as in src/cache/locations/index.ts.
constexpr char kService[] = "service";
constexpr char kAccount[] = "account";

// A call that took longer than this is assumed to have asked the user.
constexpr std::chrono::seconds kQuestionAge{1};
// After a refusal, the user is not asked about the same item again for this time.
constexpr std::chrono::seconds kRefusalLasts{60};

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
    case errSecInDarkWake:
      return failed(StatusCode::kStoreLocked,
                    "The keychain is locked, or wants to ask the user where nobody can be asked. "
                    "Run security unlock-keychain, or choose to always allow it when it asks.");
    case errSecUserCanceled:
      return failed(StatusCode::kStoreDenied,
                    "The user did not let this program use the keychain item. Try again in a "
                    "minute, and choose to always allow it.");
    case errSecAuthFailed:
    case errSecNoAccessForItem:
      return failed(StatusCode::kStoreDenied,
                    "The keychain refuses this program. Add it to the access control of the item "
                    "in Keychain Access, or sign in again.");
    case errSecReadOnly:
      return failed(StatusCode::kStoreDenied,
                    "The keychain cannot be written. Check its permissions in Keychain Access.");
    case errSecNoSuchKeychain:
    case errSecNoDefaultKeychain:
    case errSecInvalidKeychain:
    case errSecNotAvailable:
      return failed(StatusCode::kStoreUnavailable,
                    "There is no keychain. Run as the user who signed in, in a session of theirs, "
                    "or make a login keychain in Keychain Access.");
    case errSecAllocate:
      return failed(StatusCode::kIo, "Memory ran out.");
    case errSecDataTooLarge:
      return failed(StatusCode::kIo,
                    "The cache is too large for the keychain. Sign out of accounts that are not "
                    "used any more.");
    default:
      return failed(StatusCode::kIo,
                    "The keychain failed. Run security error with the number for what it means.");
  }
}

// ---- Items ----

struct ItemName {
  std::string service;
  std::string account;

  bool operator<(const ItemName& other) const {
    return std::tie(service, account) < std::tie(other.service, other.account);
  }
};

ItemName NameOf(const StoreLocation& at) {
  ItemName name;
  for (const auto& [key, value] : at.attributes) {
    if (key == kService) name.service = value;
    if (key == kAccount) name.account = value;
  }
  return name;
}

// Result of a read.
struct Reading {
  SecureBytes text;
  std::string stamp;
  double modified_ms = 0;
};

// Owns a reference to an item.
class ItemRef {
 public:
  ItemRef() = default;
  ItemRef(const ItemRef&) = delete;
  ItemRef& operator=(const ItemRef&) = delete;
  ~ItemRef() {
    if (ref_ != nullptr) CFRelease(ref_);
  }

  SecKeychainItemRef get() const { return ref_; }

  // Searches the keychains of the user's search list in order, and takes the first match.
  Status Find(const ItemName& name) {
    constexpr char kOperation[] = "SecKeychainFindGenericPassword";
    Status status =
        ToStatus(kOperation, SecKeychainFindGenericPassword(
                                 nullptr, static_cast<UInt32>(name.service.size()),
                                 name.service.data(), static_cast<UInt32>(name.account.size()),
                                 name.account.data(), nullptr, nullptr, &ref_));
    if (status.ok() && ref_ == nullptr) {
      return Status(StatusCode::kIo, kOperation, kDomain, 0, "The keychain gave nothing.");
    }
    return status;
  }

 private:
  SecKeychainItemRef ref_ = nullptr;
};

// Dates of an item and optionally its value. The destructor wipes and frees them.
class Content {
 public:
  Content() = default;
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;
  ~Content() {
    if (data_ != nullptr) Wipe(data_, size_);
    if (is_there_) SecKeychainItemFreeContent(&list_, data_);
  }

  Status Copy(SecKeychainItemRef item, bool with_value) {
    const OSStatus code = SecKeychainItemCopyContent(
        item, nullptr, &list_, with_value ? &size_ : nullptr, with_value ? &data_ : nullptr);
    is_there_ = code == errSecSuccess;
    // After a failure, there is nothing to free.
    if (!is_there_) data_ = nullptr;
    // The item was deleted after it was found.
    if (code == errSecInvalidItemRef) return Status::NotFound();
    return ToStatus("SecKeychainItemCopyContent", code);
  }

  SecureBytes Value() const {
    if (data_ == nullptr) return {};
    return SecureBytes::CopyOf({static_cast<const char*>(data_), size_});
  }

  std::string Stamp() const { return DateOf(dates_[0]) + ":" + DateOf(dates_[1]); }

  // Unix time in milliseconds, with a resolution of 1 s. 0 if the keychain does not return it.
  double ModifiedMs() const {
    std::tm date = {};
    if (std::sscanf(DateOf(dates_[1]).c_str(), "%4d%2d%2d%2d%2d%2dZ", &date.tm_year, &date.tm_mon,
                    &date.tm_mday, &date.tm_hour, &date.tm_min, &date.tm_sec) != 6) {
      return 0;
    }
    date.tm_year -= 1900;
    date.tm_mon -= 1;
    return static_cast<double>(timegm(&date)) * 1e3;
  }

 private:
  // For example 20260131235959Z. Keeps only letters and digits, because stamps are joined with
  // other text.
  static std::string DateOf(const SecKeychainAttribute& attribute) {
    std::string text;
    if (attribute.data == nullptr) return text;
    for (const char c : std::string(static_cast<const char*>(attribute.data), attribute.length)) {
      if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')) text.push_back(c);
    }
    return text;
  }

  SecKeychainAttribute dates_[2] = {{kSecCreationDateItemAttr, 0, nullptr},
                                    {kSecModDateItemAttr, 0, nullptr}};
  SecKeychainAttributeList list_ = {2, dates_};
  UInt32 size_ = 0;
  void* data_ = nullptr;
  bool is_there_ = false;
};

Status Read(const ItemName& name, bool with_value, Reading* reading) {
  ItemRef item;
  Status status = item.Find(name);
  if (!status.ok()) return status;
  Content content;
  status = content.Copy(item.get(), with_value);
  if (!status.ok()) return status;
  reading->stamp = content.Stamp();
  reading->modified_ms = content.ModifiedMs();
  reading->text = content.Value();
  return status;
}

// ---- Calls that may stall ----

// One call to the keychain. Shared by the thread that makes it and the callers that wait for it,
// which may return before it ends.
class Call {
 public:
  // `subject`: names a read whose result other callers may share. Empty if nobody may.
  explicit Call(std::string subject) : subject_(std::move(subject)), start_(Clock::now()) {}

  const std::string& subject() const { return subject_; }
  bool is_done() const { return is_done_; }
  // Whether the caller that started it has stopped waiting.
  bool is_abandoned() const { return is_abandoned_; }
  void Abandon() { is_abandoned_ = true; }

  // Valid after is_done().
  bool took_long() const { return end_ - start_ > kQuestionAge; }
  const Status& status() const { return status_; }
  const Reading& reading() const { return reading_; }

  void Run(const std::function<Status(const Call&, Reading*)>& work) {
    try {
      status_ = work(*this, &reading_);
    } catch (const std::bad_alloc&) {
      status_ = ToStatus("Run", errSecAllocate);
    }
    end_ = Clock::now();
    const std::lock_guard<std::mutex> lock(mutex_);
    is_done_ = true;
    for (Cancellation* waiter : waiters_) waiter->Notify();
  }

  void Join(Cancellation* waiter) {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiters_.push_back(waiter);
  }

  // Call Join first. Returns whether the call is done.
  bool Wait(const CallLimits& limits) {
    limits.cancellation->WaitUntil(limits.deadline, [this] { return is_done_.load(); });
    const std::lock_guard<std::mutex> lock(mutex_);
    waiters_.erase(std::find(waiters_.begin(), waiters_.end(), limits.cancellation));
    return is_done_;
  }

 private:
  const std::string subject_;
  const Clock::time_point start_;
  Clock::time_point end_;
  std::atomic<bool> is_done_{false};
  std::atomic<bool> is_abandoned_{false};
  std::mutex mutex_;
  std::vector<Cancellation*> waiters_;
  Status status_;
  Reading reading_;
};

using Work = std::function<Status(const Call&, Reading*)>;

// Makes keychain calls one at a time in the whole process, each on a new thread. Whether macOS may
// ask the user is a process-wide setting, which concurrent calls would change for each other. Also,
// while a question is open, new calls must not add threads that each ask one more.
class Lane {
 public:
  static Lane& The() { return NoDestructor<Lane>(); }

  // Waits for its turn, makes the call, and waits for its end. At the deadline or on cancellation
  // it returns, and the call goes on alone: `work` must own what it uses. If another call asked the
  // user about the same `subject` meanwhile, returns that call's result.
  Status Do(const CallLimits& limits, const char* operation, const std::string& subject, Work work,
            std::shared_ptr<const Call>* result) {
    // A call that waits for the user cannot be cancelled.
    KeepLoaded();
    const auto call = std::make_shared<Call>(subject);
    for (;;) {
      if (limits.cancellation->is_cancelled() || Clock::now() >= limits.deadline) break;
      const std::shared_ptr<Call> next = StartOrJoin(call, limits.cancellation, &work);
      if (next == nullptr) {
        return Status(StatusCode::kIo, "std::thread", "", 0,
                      "No thread could be started. Look at the limits of this process.");
      }
      if (!next->Wait(limits)) {
        if (next == call) call->Abandon();
        break;
      }
      if (next != call && (subject.empty() || next->subject() != subject || !next->took_long())) {
        continue;
      }
      *result = next;
      return next->status();
    }
    return Status(StatusCode::kStoreTimeout, operation, "", 0,
                  "The keychain did not answer in time. Look for a question on the screen, or "
                  "raise keyringTimeoutInMs.");
  }

 private:
  // Returns the running call, or starts `call` and returns that. Returns nullptr if no thread can
  // be started.
  std::shared_ptr<Call> StartOrJoin(const std::shared_ptr<Call>& call, Cancellation* waiter,
                                    Work* work) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (running_ != nullptr && !running_->is_done()) {
      running_->Join(waiter);
      return running_;
    }
    call->Join(waiter);
    try {
      std::thread([this, call, own = std::move(*work)] {
        call->Run(own);
        Forget(call);
      }).detach();
    } catch (const std::system_error&) {
      return nullptr;
    }
    running_ = call;
    return call;
  }

  // Drops the call, because its result holds a secret.
  void Forget(const std::shared_ptr<Call>& call) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (running_ == call) running_ = nullptr;
  }

  std::mutex mutex_;
  std::shared_ptr<Call> running_;
};

// While an instance exists, calls fail instead of asking the user.
class NoQuestions {
 public:
  NoQuestions() {
    if (SecKeychainGetUserInteractionAllowed(&before_) != errSecSuccess) before_ = 1;
    if (before_) SecKeychainSetUserInteractionAllowed(0);
  }
  NoQuestions(const NoQuestions&) = delete;
  NoQuestions& operator=(const NoQuestions&) = delete;
  ~NoQuestions() {
    if (before_) SecKeychainSetUserInteractionAllowed(before_);
  }

 private:
  Boolean before_ = 1;
};

// Items for which the user refused access. Without it, a program that gets tokens often would make
// macOS ask just as often.
class Refusals {
 public:
  static Refusals& The() { return NoDestructor<Refusals>(); }

  // Returns the refusal if it is recent, otherwise kOk.
  Status Recent(const ItemName& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = refusals_.find(name);
    if (found == refusals_.end()) return Status::Ok();
    if (Clock::now() - found->second.since < kRefusalLasts) return found->second.status;
    refusals_.erase(found);
    return Status::Ok();
  }

  void Note(const ItemName& name, const Status& status) {
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
  std::map<ItemName, Refusal> refusals_;
};

// Reads the item. macOS may ask the user, unless a recent refusal exists.
Status ReadWithQuestions(const ItemName& name, Reading* reading) {
  Refusals& refusals = Refusals::The();
  const Status refusal = refusals.Recent(name);
  if (refusal.ok()) {
    Status status = Read(name, true, reading);
    refusals.Note(name, status);
    return status;
  }
  const NoQuestions no_questions;
  Status status = Read(name, true, reading);
  refusals.Note(name, status);
  const bool is_refused =
      status.code() == StatusCode::kStoreLocked || status.code() == StatusCode::kStoreDenied;
  return is_refused ? refusal : status;
}

Status ReadQuietly(const ItemName& name, bool with_value, const CallLimits& limits,
                   std::shared_ptr<const Call>* call) {
  return Lane::The().Do(
      limits, "SecKeychainItemCopyContent", "",
      [name, with_value](const Call&, Reading* reading) {
        const NoQuestions no_questions;
        return Read(name, with_value, reading);
      },
      call);
}

Status ReplaceValue(const ItemName& name, const std::string& stamp, const SecureBytes& text,
                    const Call& call) {
  ItemRef item;
  Status status = item.Find(name);
  if (!status.ok()) return status;
  {
    Content content;
    status = content.Copy(item.get(), false);
    if (!status.ok()) return status;
    // Another program has written it since Load.
    if (content.Stamp() != stamp) return Status::NotFound();
  }
  // The caller has returned and released its locks, so that writing is no longer safe.
  if (call.is_abandoned()) return Status::NotFound();
  const OSStatus code = SecKeychainItemModifyAttributesAndData(
      item.get(), nullptr, static_cast<UInt32>(text.size()), text.data());
  // Another program deleted or wrote it after it was found.
  if (code == errSecInvalidItemRef || code == errSecRecordModified) return Status::NotFound();
  return ToStatus("SecKeychainItemModifyAttributesAndData", code);
}

Status AddItem(const ItemName& name, const SecureBytes& text, const Call& call) {
  if (call.is_abandoned()) return Status::NotFound();
  const OSStatus code = SecKeychainAddGenericPassword(
      nullptr, static_cast<UInt32>(name.service.size()), name.service.data(),
      static_cast<UInt32>(name.account.size()), name.account.data(),
      static_cast<UInt32>(text.size()), text.data(), nullptr);
  // Another program has created the item first.
  return code == errSecDuplicateItem ? Status::NotFound()
                                     : ToStatus("SecKeychainAddGenericPassword", code);
}

class KeychainItem : public KeyringItem {
 public:
  KeychainItem(ItemName name, const CallLimits& limits) : name_(std::move(name)), limits_(limits) {}

  Status Load(SecureBytes* text, std::string* stamp) override {
    std::shared_ptr<const Call> call;
    Status status = ReadQuietly(name_, true, limits_, &call);
    if (!status.ok()) return status;
    *text = SecureBytes::CopyOf(call->reading().text.view());
    *stamp = call->reading().stamp;
    stamp_ = *stamp;
    return status;
  }

  Status Replace(const SecureBytes& text) override {
    return Write("SecKeychainItemModifyAttributesAndData", text,
                 [name = name_, stamp = stamp_](const Call& call, const SecureBytes& own) {
                   return ReplaceValue(name, stamp, own, call);
                 });
  }

  Status Create(const SecureBytes& text) override {
    return Write("SecKeychainAddGenericPassword", text,
                 [name = name_](const Call& call, const SecureBytes& own) {
                   return AddItem(name, own, call);
                 });
  }

  Status Stamp(std::string* stamp) override {
    std::shared_ptr<const Call> call;
    Status status = ReadQuietly(name_, false, limits_, &call);
    if (status.ok()) *stamp = call->reading().stamp;
    return status;
  }

 private:
  template <typename Function>
  Status Write(const char* operation, const SecureBytes& text, Function function) {
    if (text.size() > std::numeric_limits<UInt32>::max()) {
      return ToStatus(operation, errSecDataTooLarge);
    }
    // The call may outlive its deadline, so that it needs its own copy.
    const auto copy = std::make_shared<SecureBytes>(SecureBytes::CopyOf(text.view()));
    std::shared_ptr<const Call> call;
    return Lane::The().Do(
        limits_, operation, "",
        [copy, function](const Call& own_call, Reading*) {
          const NoQuestions no_questions;
          return function(own_call, *copy);
        },
        &call);
  }

  const ItemName name_;
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
    const ItemName name = NameOf(at);
    std::shared_ptr<const Call> call;
    Status status = at.no_prompts ? ReadQuietly(name, true, limits, &call)
                                  : Lane::The().Do(
                                        limits, "SecKeychainItemCopyContent",
                                        name.service + '\0' + name.account,
                                        [name](const Call&, Reading* reading) {
                                          return ReadWithQuestions(name, reading);
                                        },
                                        &call);
    if (!status.ok()) return status;
    const Reading& reading = call->reading();
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
