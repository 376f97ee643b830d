// KeychainCallQueue: calls to the keychain, which may block until the user has answered a question.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_CALLS_MAC_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_CALLS_MAC_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "base/status.h"
#include "stores/keychain_item_mac.h"
#include "stores/secret_store.h"

namespace stc {

class KeychainCall;
using KeychainWork = std::function<Status(const KeychainCall&, KeychainReading*)>;

// One call to the keychain. Shared by the thread that makes it and the callers that wait for it,
// which may return before it ends.
class KeychainCall {
 public:
  // `subject`: names a read whose result other callers may share. Empty if nobody may.
  explicit KeychainCall(std::string subject) : subject_(std::move(subject)), start_(Clock::now()) {}

  const std::string& subject() const { return subject_; }
  bool is_done() const { return is_done_; }
  // Whether the caller that started it has stopped waiting.
  bool is_abandoned() const { return is_abandoned_; }
  void Abandon() { is_abandoned_ = true; }

  // Valid after is_done().
  bool took_long() const;
  const Status& status() const { return status_; }
  const KeychainReading& reading() const { return reading_; }

  void Run(const KeychainWork& work);
  void Join(Cancellation* waiter);
  // Call Join first. Returns whether the call is done.
  bool Wait(const CallLimits& limits);

 private:
  using Clock = std::chrono::steady_clock;

  const std::string subject_;
  const Clock::time_point start_;
  Clock::time_point end_;
  std::atomic<bool> is_done_{false};
  std::atomic<bool> is_abandoned_{false};
  std::mutex mutex_;
  std::vector<Cancellation*> waiters_;
  Status status_;
  KeychainReading reading_;
};

// Makes keychain calls one at a time in the whole process, each on a new thread. Whether macOS may
// ask the user is a process-wide setting, which concurrent calls would change for each other. Also,
// while a question is open, new calls must not add threads that each ask one more.
class KeychainCallQueue {
 public:
  static KeychainCallQueue& Instance();

  // Waits for its turn, makes the call, and waits for its end. At the deadline or on cancellation
  // it returns, and the call goes on alone: `work` must own what it uses. If another call asked the
  // user about the same `subject` meanwhile, returns that call's result.
  Status Run(const CallLimits& limits, const char* operation, const std::string& subject,
             KeychainWork work, std::shared_ptr<const KeychainCall>* result);

 private:
  // Returns the running call, or starts `call` and returns that. Returns nullptr if no thread can
  // be started.
  std::shared_ptr<KeychainCall> StartOrJoin(const std::shared_ptr<KeychainCall>& call,
                                            Cancellation* waiter, KeychainWork* work);

  // Drops the call, because its result holds a secret.
  void Forget(const std::shared_ptr<KeychainCall>& call);

  std::mutex mutex_;
  std::shared_ptr<KeychainCall> running_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_CALLS_MAC_H_
