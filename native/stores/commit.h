// Commit: a change written to a cache that others write, too. The types, and what is the same for
// every store; the protocol itself is each store's own.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_COMMIT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_COMMIT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cache/cache_editor.h"
#include "io/file_lock.h"

namespace stc {

// Shape of CommitRequest in src/backend/backend.ts.
struct CommitRequest {
  CacheChange change;
  std::vector<std::string> lock_paths;
  bool create = false;
  // If set: the stamp that the store must have; nullopt inside, that there is no cache.
  std::optional<std::optional<std::string>> expected_stamp;
  std::string signal_path;
};

// Names in src/backend/backend.ts: CommitResult.
enum class CommitOutcome : uint8_t { kLocked, kChanged, kAbsent, kNoAccount, kUnchanged, kWritten };

struct CommitResult {
  CommitOutcome outcome = CommitOutcome::kLocked;
  // For kWritten; nullopt if there was no cache.
  std::optional<std::string> base_stamp;
  // For kWritten and kUnchanged.
  std::string stamp;
  bool lock_lost = false;
};

// Lock files that are held together. Released in reverse order when freed. Not thread-safe.
class LockSet {
 public:
  LockSet() = default;
  LockSet(LockSet&&) = default;
  LockSet& operator=(LockSet&&) = default;
  ~LockSet() { Release(); }

  // Takes all of `paths`, in order, or none. `*is_held` false if one of them is somebody else's.
  // Fails as FileLock::TryAcquire.
  Status TryAcquire(const std::vector<std::string>& paths, bool* is_held);

  // Whether all still are ours. See FileLock::Check. False after Release.
  bool Check();
  Status Touch();
  void Release();

  // Whether one of them was left behind by somebody who died.
  bool took_over() const;

 private:
  std::vector<std::unique_ptr<FileLock>> locks_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_COMMIT_H_
