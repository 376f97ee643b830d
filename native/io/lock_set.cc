#include "io/lock_set.h"

#include <algorithm>
#include <utility>

namespace stc {

Status LockSet::TryAcquire(const std::vector<std::string>& paths, bool* is_held, LockUse use) {
  *is_held = false;
  for (const std::string& path : paths) {
    std::unique_ptr<FileLock> lock;
    if (!locks_.empty()) lock = locks_.front()->TryExtend(path);
    if (lock == nullptr) {
      Status status = FileLock::TryAcquire(path, &lock, use);
      if (lock == nullptr) {
        if (status.ok() && IsHeldAt(path)) continue;
        Release();
        return status;
      }
    }
    locks_.push_back(std::move(lock));
  }
  *is_held = true;
  return Status::Ok();
}

bool LockSet::IsHeldAt(const std::string& path) const {
  return std::any_of(locks_.begin(), locks_.end(),
                     [&](const std::unique_ptr<FileLock>& lock) { return lock->IsAt(path); });
}

bool LockSet::Check() {
  return !locks_.empty() &&
         std::all_of(locks_.begin(), locks_.end(),
                     [](const std::unique_ptr<FileLock>& lock) { return lock->Check(); });
}

Status LockSet::Touch() {
  for (const std::unique_ptr<FileLock>& lock : locks_) {
    Status status = lock->Touch();
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

void LockSet::Release() {
  while (!locks_.empty()) locks_.pop_back();
}

bool LockSet::took_over() const {
  return std::any_of(locks_.begin(), locks_.end(),
                     [](const std::unique_ptr<FileLock>& lock) { return lock->took_over(); });
}

}  // namespace stc
