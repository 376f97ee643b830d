// Types of a commit, which writes a change to a cache that other programs also write, and the set
// of locks that it holds. Each kind of store implements its own protocol; see SecretStore::Commit.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_COMMIT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_COMMIT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/record_edit.h"
#include "io/file_lock.h"

namespace stc {

// Same shape as CommitRequest in src/backend/backend.ts.
struct CommitRequest {
  CacheChange change;
  std::vector<std::string> lock_paths;
  bool create = false;
  // If set, the stamp that the cache must have. A nullopt inside means that the cache must not
  // exist.
  std::optional<std::optional<std::string>> expected_stamp;
  std::string signal_path;
};

// Same values as CommitResult in src/backend/backend.ts.
enum class CommitOutcome : uint8_t { kLocked, kChanged, kAbsent, kNoAccount, kUnchanged, kWritten };

struct CommitResult {
  CommitOutcome outcome = CommitOutcome::kLocked;
  // For kWritten: the stamp before the write, or nullopt if there was no cache.
  std::optional<std::string> base_stamp;
  // For kWritten and kUnchanged.
  std::string stamp;
  bool lock_lost = false;
};

// Lock files that are held together. The destructor releases them in reverse order. Not
// thread-safe.
class LockSet {
 public:
  LockSet() = default;
  LockSet(LockSet&&) = default;
  LockSet& operator=(LockSet&&) = default;
  ~LockSet() { Release(); }

  // Takes all locks of `paths`, in order, or none. `*is_held` is false if another process holds one
  // of them. Fails as FileLock::TryAcquire does.
  Status TryAcquire(const std::vector<std::string>& paths, bool* is_held);

  // Whether this set still holds all its locks. False after Release. See FileLock::Check.
  bool Check();
  Status Touch();
  void Release();

  // Whether one of the locks was taken over from a process that died.
  bool took_over() const;

 private:
  std::vector<std::unique_ptr<FileLock>> locks_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_COMMIT_H_
