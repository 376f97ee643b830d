#include "cache/cache_editor.h"
#include "io/memory_source.h"
#include "io/modified_time_posix.h"
#include "stores/item_commit.h"

namespace stc {

namespace {

// Same as KeyringItem::Load, but a missing item is a success without a stamp.
Status LoadIfThere(KeyringItem* item, SecureBytes* text, std::optional<std::string>* stamp) {
  std::string found;
  Status status = item->Load(text, &found);
  if (status.ok()) {
    *stamp = std::move(found);
  } else if (status.code() == StatusCode::kNotFound) {
    *text = SecureBytes();
    stamp->reset();
    return Status::Ok();
  }
  return status;
}

}  // namespace

Status CommitItem(const CommitRequest& request, KeyringItem* item, LockSet* locks,
                  CommitResult* result) {
  bool passes = false;
  Status status = CheckGuard(request, &passes);
  if (!status.ok()) return status;
  if (!passes) return EndCommit(CommitOutcome::kGuarded, result);
  SecureBytes old;
  std::optional<std::string> base_stamp;
  status = LoadIfThere(item, &old, &base_stamp);
  if (!status.ok()) return status;
  if (const auto outcome = CheckBase(request, base_stamp)) return EndCommit(*outcome, result);
  result->version = VersionOf(old.view());
  if (request.expected_version && *request.expected_version != result->version) {
    return EndCommit(CommitOutcome::kChanged, result);
  }
  MemorySource source(old.view());
  EditPlan plan;
  status = PlanEdits(&source, request.change, &plan);
  if (!status.ok()) return status;
  if (const auto outcome = CheckPlan(plan, base_stamp, result)) {
    return EndCommit(*outcome, result);
  }
  if (!locks->Check()) return EndCommit(CommitOutcome::kLocked, result);
  // Last check before the write: a library without locks may have written meanwhile.
  SecureBytes again;
  std::optional<std::string> stamp_again;
  status = LoadIfThere(item, &again, &stamp_again);
  if (!status.ok()) return status;
  if (stamp_again.has_value() != base_stamp.has_value() || again.view() != old.view()) {
    return EndCommit(CommitOutcome::kChanged, result);
  }
  status = CheckGuard(request, &passes);
  if (!status.ok()) return status;
  if (!passes) return EndCommit(CommitOutcome::kGuarded, result);
  const SecureBytes text = plan.Assemble(old.view());
  status = base_stamp ? item->Replace(text) : item->Create(text);
  if (status.code() == StatusCode::kNotFound) return EndCommit(CommitOutcome::kChanged, result);
  if (!status.ok()) return status;
  // The item is written. If one of the next calls fails, or another program has deleted the item
  // since, the caller has to check the cache again, as after a lost lock.
  const Status touched =
      request.signal_path.empty() ? Status::Ok() : TouchSignalFile(request.signal_path);
  const Status stamped = item->Stamp(&result->stamp);
  result->version = VersionOf(text.view());
  result->base_stamp = base_stamp;
  result->lock_lost = !locks->Check() || !touched.ok() || !stamped.ok();
  return EndCommit(CommitOutcome::kWritten, result);
}

}  // namespace stc
