#include "stores/file_commit_win.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/no_destructor.h"
#include "base/wide_path.h"
#include "cache/cache_editor.h"
#include "io/cache_file_win.h"
#include "io/file_replace.h"
#include "io/memory_source.h"
#include "io/temp_name.h"

namespace stc {

namespace {

// Files that could not be replaced because readers have them open. Kept per process, because the
// caller waits between tries: each try is a new Commit.
class BusyFiles {
 public:
  static BusyFiles& Instance() { return NoDestructor<BusyFiles>(); }

  // After this many tries over this time, the reader is not one that opens and closes the file
  // quickly.
  ReplaceMode ModeFor(const std::string& path) {
    constexpr int kTries = 20;
    constexpr std::chrono::milliseconds kDuration{100};
    // An older entry belongs to an earlier commit.
    constexpr std::chrono::seconds kForgotten{10};
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = files_.find(path);
    if (found == files_.end()) return ReplaceMode::kRename;
    const auto age = Clock::now() - found->second.since;
    if (age > kForgotten) {
      files_.erase(found);
      return ReplaceMode::kRename;
    }
    return found->second.tries >= kTries && age >= kDuration ? ReplaceMode::kInPlace
                                                             : ReplaceMode::kRename;
  }

  void Add(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++files_.try_emplace(path, Busy{0, Clock::now()}).first->second.tries;
  }

  void Remove(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    files_.erase(path);
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Busy {
    int tries;
    Clock::time_point since;
  };

  std::mutex mutex_;
  std::unordered_map<std::string, Busy> files_;
};

class Commit {
 public:
  Commit(const std::string& path, const CacheEncoding& encoding, const CommitRequest& request,
         LockSet* locks, CommitResult* result)
      : path_(path), encoding_(encoding), request_(request), locks_(locks), result_(result) {}

  Status Run() {
    Sweep();
    bool passes = false;
    Status status = CheckGuard(request_, &passes);
    if (!status.ok()) return status;
    if (!passes) return End(CommitOutcome::kGuarded);
    status = Load();
    // The file was written while it was read. If it could not be opened at all, return the error
    // instead: that may last.
    if (base_stamp_ && status.code() == StatusCode::kCacheChanged) {
      return End(CommitOutcome::kChanged);
    }
    if (!status.ok()) return status;
    if (base_stamp_ && IsPerhapsTorn(static_cast<uint64_t>(base_.size), BaseAgeMs())) {
      return End(CommitOutcome::kChanged);
    }
    if (const auto outcome = CheckBase(request_, base_stamp_)) return End(*outcome);
    if (text_.size() > 0) status = encoding_.Decode(path_, &text_);
    if (!status.ok()) return status;
    MemorySource source(text_.view());
    EditPlan plan;
    status = PlanEdits(&source, request_.change, &plan);
    if (!status.ok()) return status;
    if (const auto outcome = CheckPlan(plan, base_stamp_, result_)) return End(*outcome);
    text_ = plan.Assemble(text_.view());
    status = encoding_.Encode(path_, &text_);
    return status.ok() ? Replace() : status;
  }

 private:
  Status End(CommitOutcome outcome) { return EndCommit(outcome, result_); }

  void Sweep() const {
    if (!ShouldSweep(path_, *locks_)) return;
    std::wstring target;
    if (!ResolveReplaced(path_, &target).ok()) return;
    ForEachTemp(Narrow(target), kReplacementSuffix, [](const std::string& orphan) {
      std::wstring wide;
      if (WidenPath(orphan, &wide).ok()) DeleteFileW(wide.c_str());
    });
  }

  // Reads the bytes of the file. Leaves them and the stamp empty if there is no file.
  Status Load() {
    std::unique_ptr<CacheFile> file;
    Status status = CacheFile::Open(path_, &file);
    if (status.code() == StatusCode::kNotFound) return Status::Ok();
    if (!status.ok()) return status;
    base_stamp_ = file->stamp();
    base_ = file->state();
    return file->ReadWhole(&text_);
  }

  int64_t BaseAgeMs() const { return (WallClockTicks() - base_.modified) / kTicksPerMillisecond; }

  Status Replace() {
    CommitOutcome refusal = CommitOutcome::kChanged;
    ReplaceConditions conditions;
    conditions.must_be_new = !base_stamp_;
    conditions.durable = request_.durable;
    // Last check before the replacement: a library without locks may have written meanwhile.
    Status guarded;
    conditions.may_replace = [this, &refusal, &guarded] {
      refusal = locks_->Check() ? CommitOutcome::kChanged : CommitOutcome::kLocked;
      if (refusal == CommitOutcome::kLocked || !IsUnchanged()) return false;
      bool passes = false;
      guarded = CheckGuard(request_, &passes);
      if (!passes) refusal = CommitOutcome::kGuarded;
      return passes;
    };
    ReplaceOutcome outcome = ReplaceOutcome::kBusy;
    PlacedFile placed;
    Status status = ReplaceFileContent(path_, {text_.view()}, BusyFiles::Instance().ModeFor(path_),
                                       conditions, &outcome, &placed);
    if (!status.ok()) return status;
    switch (outcome) {
      case ReplaceOutcome::kBusy:
        BusyFiles::Instance().Add(path_);
        return End(CommitOutcome::kBusy);
      case ReplaceOutcome::kRefused:
        return guarded.ok() ? End(refusal) : guarded;
      case ReplaceOutcome::kReplaced:
        break;
    }
    BusyFiles::Instance().Remove(path_);
    result_->base_stamp = base_stamp_;
    result_->stamp = StampOf(placed.state);
    result_->lock_lost = !locks_->Check() || placed.is_written_over;
    return End(CommitOutcome::kWritten);
  }

  bool IsUnchanged() const {
    std::string stamp;
    const Status status = CacheFile::Stamp(path_, &stamp);
    if (!base_stamp_) return status.code() == StatusCode::kNotFound;
    return status.ok() && stamp == *base_stamp_;
  }

  const std::string& path_;
  const CacheEncoding& encoding_;
  const CommitRequest& request_;
  LockSet* const locks_;
  CommitResult* const result_;
  std::optional<std::string> base_stamp_;
  FileState base_;
  // First the bytes of the file, then the text of the cache, then the bytes of the new file.
  SecureBytes text_;
};

}  // namespace

Status CommitFile(const std::string& path, const CacheEncoding& encoding,
                  const CommitRequest& request, LockSet* locks, CommitResult* result) {
  return Commit(path, encoding, request, locks, result).Run();
}

}  // namespace stc
