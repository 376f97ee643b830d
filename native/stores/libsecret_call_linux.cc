#include "stores/libsecret_call_linux.h"

#include <atomic>
#include <thread>

#include "stores/libsecret_status_linux.h"

namespace stc {

namespace {

// Cancels a call at the deadline, or when its job is cancelled. Without it, a bus that accepts a
// call and never answers would block the call forever.
class Watchdog {
 public:
  Watchdog(const LibsecretApi& api, const CallLimits& limits)
      : limits_(limits),
        cancellable_(api.g_cancellable_new()),
        unref_(api.g_object_unref),
        thread_([this, &api] {
          limits_.cancellation->WaitUntil(limits_.deadline, [this] { return is_done_.load(); });
          if (is_done_) return;
          has_fired_ = true;
          api.g_cancellable_cancel(cancellable_);
        }) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog() {
    Stop();
    unref_(cancellable_);
  }

  void Stop() {
    if (!thread_.joinable()) return;
    is_done_ = true;
    limits_.cancellation->Notify();
    thread_.join();
  }

  GCancellable* cancellable() const { return cancellable_; }
  // Valid after Stop.
  bool has_fired() const { return has_fired_; }

 private:
  const CallLimits& limits_;
  GCancellable* const cancellable_;
  void (*const unref_)(void*);
  std::atomic<bool> is_done_{false};
  std::atomic<bool> has_fired_{false};
  std::thread thread_;
};

}  // namespace

Status CallKeyringService(
    const LibsecretApi& api, const CallLimits& limits, const char* operation,
    const std::function<void(GCancellable* cancellable, GError** error)>& call) {
  GError* error = nullptr;
  Watchdog watchdog(api, limits);
  call(watchdog.cancellable(), &error);
  watchdog.Stop();
  if (watchdog.has_fired()) {
    if (error != nullptr) api.g_error_free(error);
    return LibsecretTimeout(operation, "", 0);
  }
  return error == nullptr ? Status::Ok() : LibsecretFailure(api, operation, error);
}

}  // namespace stc
