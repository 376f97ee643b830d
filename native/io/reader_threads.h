// ReaderThreads: threads of our own that read files. libuv's pool is not used for that: it starts
// four threads for the first job of a process, which takes a tenth of the time to the first token
// (measured: bench P3), and other work of the application, such as host name look-ups, can occupy
// it for seconds. Commits also close the files that they replaced on these threads.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_READER_THREADS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_READER_THREADS_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>

namespace stc {

// Thread-safe. The threads belong to the process, not to an environment. They start when there is
// work and end when there are no users. The end of the process does not wait for them, so a job
// must own what it uses, and must not write, because it may be cut off anywhere.
class ReaderThreads {
 public:
  // The process's. Never destroyed.
  static ReaderThreads& Shared();

  // Counts the environments that may post jobs. Without users idle threads end at once, because a
  // process with waiting threads takes longer to end.
  void AddUser();
  void RemoveUser();

  // Runs `job` soon on one of the threads. It must not throw. Returns false if there is no thread
  // and none could be started.
  bool Post(std::function<void()> job);

 private:
  // As many as libuv has. More than one, so that a disk that does not answer delays one job only.
  static constexpr size_t kMaxThreads = 4;

  // Adds a job. Needs mutex_.
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

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_READER_THREADS_H_
