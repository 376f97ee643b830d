#include "stores/commit.h"

#include <cstdlib>
#include <mutex>
#include <unordered_set>

#include "base/no_destructor.h"
#include "io/guard_stamp.h"
#include "json/text_hash.h"

namespace stc {

namespace {

// An empty file that is older than this is really empty. Same as settledAfterMs in
// src/cache/shared-cache.ts.
constexpr int64_t kSettledMs = 2000;

// Caches whose temporary files this process has already deleted.
struct Sweeps {
  std::mutex mutex;
  std::unordered_set<std::string> swept;
};

}  // namespace

std::string VersionOf(std::string_view text) { return std::to_string(HashBytes(text)); }

Status EndCommit(CommitOutcome outcome, CommitResult* result) {
  result->outcome = outcome;
  return Status::Ok();
}

Status CheckGuard(const CommitRequest& request, bool* passes) {
  *passes = true;
  if (!request.guard) return Status::Ok();
  std::optional<std::string> stamp;
  Status status = GuardStamp(request.guard->path, &stamp);
  *passes = status.ok() && stamp == request.guard->stamp;
  return status;
}

std::optional<CommitOutcome> CheckBase(const CommitRequest& request,
                                       const std::optional<std::string>& base_stamp) {
  if (request.expected_stamp && *request.expected_stamp != base_stamp) {
    return CommitOutcome::kChanged;
  }
  if (!base_stamp && !request.create) return CommitOutcome::kAbsent;
  return std::nullopt;
}

std::optional<CommitOutcome> CheckPlan(const EditPlan& plan,
                                       const std::optional<std::string>& base_stamp,
                                       CommitResult* result) {
  switch (plan.outcome) {
    case EditOutcome::kNoAccount:
      return CommitOutcome::kNoAccount;
    case EditOutcome::kUnchanged:
      if (!base_stamp) return CommitOutcome::kAbsent;
      result->stamp = *base_stamp;
      return CommitOutcome::kUnchanged;
    case EditOutcome::kChanged:
      break;
  }
  return std::nullopt;
}

bool IsPerhapsTorn(uint64_t size, int64_t age_ms) {
  return size == 0 && std::abs(age_ms) < kSettledMs;
}

bool ShouldSweep(const std::string& path, const LockSet& locks) {
  auto& sweeps = NoDestructor<Sweeps>();
  const std::lock_guard<std::mutex> guard(sweeps.mutex);
  return sweeps.swept.insert(path).second || locks.took_over();
}

}  // namespace stc
