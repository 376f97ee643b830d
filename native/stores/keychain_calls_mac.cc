#include "stores/keychain_calls_mac.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <thread>

#include "base/keep_loaded.h"
#include "base/no_destructor.h"
#include "stores/keychain_api_mac.h"
#include "stores/keychain_status_mac.h"

namespace stc {

namespace {

// A call that took longer than this is assumed to have asked the user.
constexpr std::chrono::seconds kQuestionAge{1};

}  // namespace

bool KeychainCall::took_long() const { return end_ - start_ > kQuestionAge; }

void KeychainCall::Run(const KeychainWork& work) {
  try {
    status_ = work(*this, &reading_);
  } catch (const std::bad_alloc&) {
    status_ = KeychainStatus("Run", errSecAllocate);
  }
  end_ = Clock::now();
  const std::lock_guard<std::mutex> lock(mutex_);
  is_done_ = true;
  for (Cancellation* waiter : waiters_) waiter->Notify();
}

void KeychainCall::Join(Cancellation* waiter) {
  const std::lock_guard<std::mutex> lock(mutex_);
  waiters_.push_back(waiter);
}

bool KeychainCall::Wait(const CallLimits& limits) {
  limits.cancellation->WaitUntil(limits.deadline, [this] { return is_done_.load(); });
  const std::lock_guard<std::mutex> lock(mutex_);
  waiters_.erase(std::find(waiters_.begin(), waiters_.end(), limits.cancellation));
  return is_done_;
}

KeychainCallQueue& KeychainCallQueue::Instance() { return NoDestructor<KeychainCallQueue>(); }

Status KeychainCallQueue::Run(const CallLimits& limits, const char* operation,
                              const std::string& subject, KeychainWork work,
                              std::shared_ptr<const KeychainCall>* result) {
  // A call that waits for the user cannot be cancelled.
  KeepLoaded();
  const auto call = std::make_shared<KeychainCall>(subject);
  for (;;) {
    if (limits.cancellation->is_cancelled() || std::chrono::steady_clock::now() >= limits.deadline)
      break;
    const std::shared_ptr<KeychainCall> next = StartOrJoin(call, limits.cancellation, &work);
    if (next == nullptr) {
      return Status(StatusCode::kIo, "std::thread", "", 0,
                    "No thread could be started. Check the limits of this process.");
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
                "The keychain did not answer in time. Answer the question on the screen, or raise "
                "keyringTimeoutInMs.");
}

std::shared_ptr<KeychainCall> KeychainCallQueue::StartOrJoin(
    const std::shared_ptr<KeychainCall>& call, Cancellation* waiter, KeychainWork* work) {
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

void KeychainCallQueue::Forget(const std::shared_ptr<KeychainCall>& call) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (running_ == call) running_ = nullptr;
}

}  // namespace stc
