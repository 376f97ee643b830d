// FileLock: one lock file that other MSAL libraries respect, and that respects theirs, whatever
// their means: exclusive creation, flock, fcntl, share modes.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_LOCK_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_LOCK_H_

#include <memory>
#include <string>

#include "base/status.h"

namespace stc {

// Not thread-safe; to be used and freed on any one thread at a time. Two locks of one path exclude
// each other in one process as in two.
class FileLock {
 public:
  // Takes the lock if it is free, never waits. `*lock` stays empty, with Status::Ok(), if somebody
  // else holds it. A lock file that its holder left behind is taken over by the rules in the
  // implementation, some of which need several tries over some time: the state for that is kept per
  // process. Returns kStoreDenied or kIo, the latter also if the directory is missing.
  //
  // The operating system frees the lock when the process dies. Destruction releases it: the lock
  // file is deleted if it still is ours.
  static Status TryAcquire(const std::string& path, std::unique_ptr<FileLock>* lock);

  virtual ~FileLock() = default;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Takes the lock of another path in the same directory along, for less than TryAcquire costs.
  // Freed before this one. nullptr if that is not possible, whatever the reason: TryAcquire tells.
  virtual std::unique_ptr<FileLock> TryExtend(const std::string& /*path*/) { return nullptr; }

  // Whether the lock file still is ours. One that a peer deleted is put back. False: somebody else
  // has it now, and the lock is lost for good.
  virtual bool Check() = 0;

  // Sets the lock file's time stamp to now.
  virtual Status Touch() = 0;

  // Whether it was left behind by somebody before, so that more of theirs may be about.
  virtual bool took_over() const = 0;

 protected:
  FileLock() = default;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_LOCK_H_
