// Cancellation: tells a running job that its environment is ending, so that a keyring that stalls
// holds up neither worker.terminate() nor the end of the process.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CANCELLATION_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CANCELLATION_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace stc {

using Deadline = std::chrono::steady_clock::time_point;

// Thread-safe. Once cancelled, it stays so.
class Cancellation {
 public:
  void Cancel() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      is_cancelled_ = true;
    }
    changed_.notify_all();
  }

  bool is_cancelled() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return is_cancelled_;
  }

  // Wakes everybody who waits in WaitUntil to look at `is_done` again.
  void Notify() {
    // Taking the lock makes sure that no waiter is between its look and its sleep.
    { const std::lock_guard<std::mutex> lock(mutex_); }
    changed_.notify_all();
  }

  // Waits until cancelled, until `is_done` gives true, or until `deadline`, whichever is first.
  template <typename IsDone>
  void WaitUntil(Deadline deadline, IsDone is_done) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_until(lock, deadline, [&] { return is_cancelled_ || is_done(); });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_cancelled_ = false;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CANCELLATION_H_
