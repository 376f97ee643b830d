// ReaderThreads: reads files off the main thread, on threads of our own. libuv's pool would do it,
// too, but starts four threads for a process's first job, which with their end is a tenth of the
// time to a first token (npm run bench -- --only P3: 0.7 of 7 ms); and whatever else an application
// does there, such as looking up host names, may take all of them for seconds. Commits leave the
// files that they replaced to these threads, to be closed.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_READER_THREADS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_READER_THREADS_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

namespace stc {

// Thread-safe. The threads belong to the process and not to an environment: they are started when
// there is work for them, end when nobody is left who could ask, and are not waited for when the
// process ends. So a job must own what it uses, and may be cut off anywhere: none that writes.
class ReaderThreads {
 public:
  // The process's, which is never destroyed.
  static ReaderThreads& Shared();

  // How many could ask for something. With none, threads end at once: the end of a process takes
  // longer where they still wait.
  void AddUser();
  void RemoveUser();

  // Runs `job`, which must not throw, soon. False if no thread could be started for it.
  bool Post(std::function<void()> job);

 private:
  // As many as libuv has: one on a disk that does not answer must not hold up the others.
  static constexpr size_t kMaxThreads = 4;

  // With the lock held.
  bool Add(std::function<void()> job);
  void Run();

  std::mutex mutex_;
  std::condition_variable has_job_;
  std::deque<std::function<void()>> jobs_;
  size_t users_ = 0;
  size_t threads_ = 0;
  size_t idle_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_READER_THREADS_H_
