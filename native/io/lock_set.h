// LockSet: lock files that are held together.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_SET_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_SET_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "io/file_lock.h"

namespace stc {

// Lock files that are held together. The destructor releases them in reverse order. Not
// thread-safe.
class LockSet {
 public:
  LockSet() = default;
  LockSet(LockSet&&) = default;
  LockSet& operator=(LockSet&&) = default;
  ~LockSet() { Release(); }

  // Takes all locks of `paths`, in order, or none. Several paths may name one file. `*is_held` is
  // false if another process holds one of them. Fails as FileLock::TryAcquire does.
  Status TryAcquire(const std::vector<std::string>& paths, bool* is_held,
                    LockUse use = LockUse::kShared);

  // Whether this set still holds all its locks. False after Release. See FileLock::Check.
  bool Check();
  Status Touch();
  void Release();

  // Whether one of the locks was taken over from a process that died.
  bool took_over() const;

 private:
  // Whether `path` is another name of a lock file that this set holds: a folder that is a link, or
  // a file system that ignores case.
  bool IsHeldAt(const std::string& path) const;

  std::vector<std::unique_ptr<FileLock>> locks_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_SET_H_
