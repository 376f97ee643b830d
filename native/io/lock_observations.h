// LockObservations: how long this process has seen a lock file unchanged. Wall clocks can be set
// and time stamps of files can be written, so a file's age counts by this clock besides.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_OBSERVATIONS_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_OBSERVATIONS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>

namespace stc {

// Which file it is and when it was last written, in the units of the system.
struct LockFileState {
  uint64_t device = 0;
  uint64_t file = 0;
  int64_t modified = 0;
};

// The age of a lock file, seconds.
struct LockAge {
  // The largest that any clock shows.
  double longest = 0;
  // By the monotonic clock of this process.
  double observed = 0;
  // Since the last change of content or attributes, which programs cannot set. Negative if the file
  // is from the future, 0 if the file system does not tell.
  double changed = 0;
};

// Thread-safe.
class LockObservations {
 public:
  // The process's. Never destroyed.
  static LockObservations& Shared();

  // Seconds since the file at `path` was first seen in this state; 0 the first time.
  double SecondsSince(const std::string& path, const LockFileState& state);

  // To be called when the lock file is held or gone.
  void Forget(const std::string& path);

 private:
  struct Seen {
    LockFileState state;
    std::chrono::steady_clock::time_point since;
  };

  std::mutex mutex_;
  std::unordered_map<std::string, Seen> seen_;
};

// How far the clock that stamps the files of a directory is ahead of ours. Asking the file system
// costs a file, and waiting processes ask again and again, so an answer is good for a second.
// Thread-safe.
class ClockOffsets {
 public:
  // The process's. Never destroyed.
  static ClockOffsets& Shared();

  // The offset for the directory, in the units of the system. `measure` asks the file system; it
  // may run on several threads at once.
  int64_t For(const std::string& directory, const std::function<int64_t()>& measure);

 private:
  struct Measured {
    int64_t offset;
    std::chrono::steady_clock::time_point at;
  };

  std::mutex mutex_;
  std::unordered_map<std::string, Measured> measured_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_OBSERVATIONS_H_
