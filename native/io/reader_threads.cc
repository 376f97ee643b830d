#include "io/reader_threads.h"

#include <exception>
#include <new>
#include <thread>
#include <utility>

#include "base/keep_loaded.h"
#include "base/no_destructor.h"

namespace stc {

ReaderThreads& ReaderThreads::Shared() { return NoDestructor<ReaderThreads>(); }

void ReaderThreads::AddUser() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++users_;
}

void ReaderThreads::RemoveUser() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    --users_;
  }
  has_job_.notify_all();
}

bool ReaderThreads::Post(std::function<void()> job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!Add(std::move(job))) return false;
  }
  // After unlocking, so that the woken thread need not wait for the lock.
  has_job_.notify_one();
  return true;
}

bool ReaderThreads::Add(std::function<void()> job) {
  try {
    jobs_.push_back(std::move(job));
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (jobs_.size() > idle_ && threads_ < kMaxThreads) {
    KeepLoaded();
    try {
      std::thread([this] { Run(); }).detach();
      ++threads_;
      // std::system_error, or std::bad_alloc.
    } catch (const std::exception&) {
      if (threads_ == 0) {
        jobs_.pop_back();
        return false;
      }
      // A running thread takes the job later.
    }
  }
  return true;
}

void ReaderThreads::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    ++idle_;
    has_job_.wait(lock, [this] { return !jobs_.empty() || users_ == 0; });
    --idle_;
    if (jobs_.empty()) {
      --threads_;
      return;
    }
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    // Frees it without the lock held. It may hold secrets, which are wiped.
    job = nullptr;
    lock.lock();
  }
}

}  // namespace stc
