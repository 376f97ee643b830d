// A commit writes a change to a cache that other programs also write. This file has its types, and
// the steps that all stores share; the protocol is in file_commit_*.cc and item_commit_posix.cc.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_COMMIT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_COMMIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/edit_plan.h"
#include "cache/record_edit.h"
#include "io/lock_set.h"

namespace stc {

// Same shape as CommitGuard in src/backend/backend.ts.
struct CommitGuard {
  std::string path;
  // A value of GuardStamp.
  std::optional<std::string> stamp;
};

// Same shape as CommitRequest in src/backend/backend.ts.
struct CommitRequest {
  CacheChange change;
  std::vector<std::string> lock_paths;
  bool create = false;
  // If set, the stamp that the cache must have. A nullopt inside means that the cache must not
  // exist.
  std::optional<std::optional<std::string>> expected_stamp;
  // If set, the VersionOf that the text of a keyring item must have.
  std::optional<std::string> expected_version;
  std::string signal_path;
  // Whether the change has to survive a power loss that follows at once.
  bool durable = false;
  std::optional<CommitGuard> guard;
};

// Same values as CommitResult in src/backend/backend.ts.
enum class CommitOutcome : uint8_t {
  kLocked,
  kBusy,
  kChanged,
  kGuarded,
  kAbsent,
  kNoAccount,
  kUnchanged,
  kWritten
};

struct CommitResult {
  CommitOutcome outcome = CommitOutcome::kLocked;
  // For kWritten: the stamp before the write, or nullopt if there was no cache.
  std::optional<std::string> base_stamp;
  // For kWritten and kUnchanged.
  std::string stamp;
  // The same, for a keyring item: VersionOf its text. Otherwise empty.
  std::string version;
  // For kWritten: whether another program may have written meanwhile, so that the caller has to
  // check the cache again.
  bool lock_lost = false;
};

// For keyring items only: a string that differs if the text differs, within one process. A keyring
// counts the times of writes in whole seconds, so the stamp alone may miss a write.
std::string VersionOf(std::string_view text);

// Sets the outcome and returns kOk.
Status EndCommit(CommitOutcome outcome, CommitResult* result);

// Call it with the locks held, before the cache is read and again right before the write, because a
// lock may be lost. `*passes`: whether the guard of the request, if it has one, is as expected.
// Otherwise the outcome is kGuarded. Fails as GuardStamp does.
Status CheckGuard(const CommitRequest& request, bool* passes);

// Call it before planning: checks the stamp that the request expects, and whether it may create a
// cache. Returns the outcome that ends the commit, or nullopt to continue. `base_stamp`: the stamp
// of the cache that was found, or nullopt if there is none.
std::optional<CommitOutcome> CheckBase(const CommitRequest& request,
                                       const std::optional<std::string>& base_stamp);

// Call it after planning: checks whether there is anything to write. Returns the same as CheckBase.
// Sets the stamp of `result` for kUnchanged.
std::optional<CommitOutcome> CheckPlan(const EditPlan& plan,
                                       const std::optional<std::string>& base_stamp,
                                       CommitResult* result);

// For cache files only: whether another program may be in the middle of writing the file. A library
// without locks truncates the file before it writes. Treating that file as an empty cache would
// lose all its content. `age_ms`: time since the last modification.
bool IsPerhapsTorn(uint64_t size, int64_t age_ms);

// For cache files only: whether to delete temporary files beside the cache, which are left by
// writers that died. Live writers hold the locks, which must be `locks` now. True for the first
// commit of this process to `path`, and after a lock was taken over.
bool ShouldSweep(const std::string& path, const LockSet& locks);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_COMMIT_H_
