// Cancellation: tells a running job that its environment is ending, so that a keyring that does not
// answer delays neither worker.terminate() nor the end of the process.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_CANCELLATION_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_CANCELLATION_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace stc {

using Deadline = std::chrono::steady_clock::time_point;

// A thread that wakes later than this after its time was stopped with its process: a busy machine
// does not delay it for so long.
inline constexpr std::chrono::milliseconds kStopped{100};

// Thread-safe. Cannot be undone.
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

  // Makes each thread in WaitUntil call `is_done` again.
  void Notify() {
    // With the lock held, no thread is between its call of `is_done` and its wait.
    { const std::lock_guard<std::mutex> lock(mutex_); }
    changed_.notify_all();
  }

  // Waits until cancelled, until `is_done` returns true, or until `deadline`, whichever is first.
  // If the process was stopped beyond the deadline, an answer may have come meanwhile: waits for as
  // long as it was late, five seconds at most.
  template <typename IsDone>
  void WaitUntil(Deadline deadline, IsDone is_done) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto is_over = [&] { return is_cancelled_ || is_done(); };
    if (changed_.wait_until(lock, deadline, is_over)) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - deadline < kStopped) return;
    changed_.wait_until(lock, now + std::min<Deadline::duration>(now - deadline, kMaxGrace),
                        is_over);
  }

 private:
  static constexpr std::chrono::milliseconds kMaxGrace{5000};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_cancelled_ = false;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_CANCELLATION_H_
