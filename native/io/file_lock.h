// FileLock: a lock file that excludes other MSAL libraries and is excluded by them, whether they
// lock by exclusive creation, flock, fcntl or share modes.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_LOCK_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_LOCK_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace stc {

// Who may create a lock file.
enum class LockUse : uint8_t {
  // Every library that shares the cache.
  kShared,
  // This package alone: whatever else has the name was left behind by accident or malice.
  kOwn,
};

// Not thread-safe; may be used and freed on any thread, one at a time. Two locks of one path
// exclude each other within one process, too.
class FileLock {
 public:
  // Takes the lock if it is free. Never waits. Returns Status::Ok() and leaves `*lock` empty if
  // another holder has it. A lock file that was left behind is taken over, see lock_ages.h; some of
  // these rules need several calls over time, for which the process keeps LockObservations. Returns
  // kStoreDenied or kIo, the latter also if the directory is missing.
  //
  // The destructor releases the lock and deletes the lock file, if it is still ours. The operating
  // system releases the lock when the process dies.
  static Status TryAcquire(const std::string& path, std::unique_ptr<FileLock>* lock,
                           LockUse use = LockUse::kShared);

  virtual ~FileLock() = default;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Takes the lock of another path in the same directory, faster than TryAcquire. Free it before
  // this one. Returns nullptr if it cannot; TryAcquire then reports the reason.
  virtual std::unique_ptr<FileLock> TryExtend(const std::string& /*path*/) { return nullptr; }

  // Whether `path` names this lock's file.
  virtual bool IsAt(const std::string& path) const = 0;

  // Returns whether the lock is still ours. Restores a lock file that another library deleted.
  // False means that another process has the lock file now; the lock is lost for good.
  virtual bool Check() = 0;

  // Sets the lock file's modification time to now.
  virtual Status Touch() = 0;

  // Whether TryAcquire took over a stale lock file. Its dead holder may have left other files.
  virtual bool took_over() const = 0;

 protected:
  FileLock() = default;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_LOCK_H_
