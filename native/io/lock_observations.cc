#include "io/lock_observations.h"

#include "base/no_destructor.h"

namespace stc {

namespace {

bool IsSame(const LockFileState& a, const LockFileState& b) {
  return a.device == b.device && a.file == b.file && a.modified == b.modified;
}

}  // namespace

LockObservations& LockObservations::Shared() { return NoDestructor<LockObservations>(); }

double LockObservations::SecondsSince(const std::string& path, const LockFileState& state) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  const auto [entry, is_new] = seen_.try_emplace(path, Seen{state, now});
  Seen& seen = entry->second;
  if (!is_new && !IsSame(seen.state, state)) seen = {state, now};
  return std::chrono::duration<double>(now - seen.since).count();
}

void LockObservations::Forget(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  seen_.erase(path);
}

ClockOffsets& ClockOffsets::Shared() { return NoDestructor<ClockOffsets>(); }

int64_t ClockOffsets::For(const std::string& directory, const std::function<int64_t()>& measure) {
  constexpr std::chrono::seconds kGoodFor{1};
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = measured_.find(directory);
    if (found != measured_.end() && now - found->second.at < kGoodFor) return found->second.offset;
  }
  const int64_t offset = measure();
  const std::lock_guard<std::mutex> lock(mutex_);
  measured_[directory] = {offset, now};
  return offset;
}

}  // namespace stc
