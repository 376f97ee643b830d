#include "stores/file_commit_posix.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <new>
#include <utility>

#include "base/errno_status.h"
#include "base/secure_bytes.h"
#include "cache/cache_editor.h"
#include "io/buffer_pool.h"
#include "io/cache_file_posix.h"
#include "io/file_times.h"
#include "io/flush_posix.h"
#include "io/memory_source.h"
#include "io/modified_time_posix.h"
#include "io/piece_writer_posix.h"
#include "io/reader_threads.h"
#include "io/system_calls_posix.h"
#include "io/temp_file_posix.h"
#include "io/temp_name.h"

namespace stc {

namespace {

class Commit {
 public:
  Commit(const std::string& path, const CommitRequest& request, LockSet* locks,
         CommitResult* result)
      : path_(path), request_(request), locks_(locks), result_(result) {}

  Status Run() {
    Status status = Resolve();
    if (!status.ok()) return status;
    Sweep();
    bool passes = false;
    status = CheckGuard(request_, &passes);
    if (!status.ok()) return status;
    if (!passes) return End(CommitOutcome::kGuarded);
    status = CacheFile::Open(path_, &base_);
    if (!status.ok() && status.code() != StatusCode::kNotFound) return status;
    if (base_ != nullptr &&
        IsPerhapsTorn(static_cast<uint64_t>(base_->info().st_size), BaseAgeMs())) {
      return End(CommitOutcome::kChanged);
    }
    if (const auto outcome = CheckBase(request_, BaseStamp())) return End(*outcome);
    status = ReadText();
    if (status.code() == StatusCode::kCacheChanged) return End(CommitOutcome::kChanged);
    if (!status.ok()) return status;
    MemorySource text(text_.view());
    EditPlan plan;
    status = PlanEdits(IsLarge() ? static_cast<ByteSource*>(base_.get()) : &text, request_.change,
                       &plan);
    if (base_ != nullptr && !base_->Verify().ok()) return End(CommitOutcome::kChanged);
    if (!status.ok()) return status;
    if (const auto outcome = CheckPlan(plan, BaseStamp(), result_)) return End(*outcome);
    return Replace(plan);
  }

 private:
  Status End(CommitOutcome outcome) { return EndCommit(outcome, result_); }

  std::optional<std::string> BaseStamp() const {
    if (base_ == nullptr) return std::nullopt;
    return base_->stamp();
  }

  int64_t BaseAgeMs() const {
    return (WallClockNanoseconds() - Nanoseconds(ModifiedAt(base_->info()))) / 1'000'000;
  }

  bool IsLarge() const {
    return base_ != nullptr && base_->info().st_size > static_cast<off_t>(BufferPool::kBufferSize);
  }

  // Reads a small cache into memory. The ranges around the fields of a record are only a few bytes
  // long, so that reading each with a system call would be slower.
  Status ReadText() {
    if (base_ == nullptr || IsLarge()) return Status::Ok();
    text_ = SecureBytes(static_cast<size_t>(base_->info().st_size));
    return base_->Fetch(0, text_.size(), text_.data());
  }

  // Follows a symbolic link: a rename would replace the link itself.
  Status Resolve() {
    // The directory first: a link in place of it leads the file elsewhere, too.
    if (!MayFollow(path_.substr(0, path_.rfind('/'))) || !MayFollow(path_)) {
      return Status(StatusCode::kStoreDenied, "realpath", "errno", ELOOP,
                    path_ +
                        ": another user made a symbolic link there, and it leads to a file of "
                        "a third one. Replace the link by a file.");
    }
    struct stat info;
    if (sys::Lstat(path_, &info) != 0 || !S_ISLNK(info.st_mode)) return Status::Ok();
    char* const target = realpath(path_.c_str(), nullptr);
    if (target == nullptr) return ErrnoStatus("realpath", path_, errno);
    path_ = target;
    free(target);
    return Status::Ok();
  }

  // Root may work in the home directory of a user, who could lead it to any file of the system. So
  // root follows the link of a user only to what belongs to that user.
  static bool MayFollow(const std::string& path) {
    struct stat link;
    if (geteuid() != 0 || path.empty() || sys::Lstat(path, &link) != 0 || !S_ISLNK(link.st_mode) ||
        link.st_uid == 0) {
      return true;
    }
    struct stat target;
    return sys::Stat(path, &target) != 0 || target.st_uid == link.st_uid;
  }

  void Sweep() const {
    if (!ShouldSweep(path_, *locks_)) return;
    ForEachTemp(path_, kTempFileSuffix, [](const std::string& orphan) { sys::Unlink(orphan); });
  }

  Status Replace(const EditPlan& plan) {
    TempFile temp(path_);
    if (!temp.Create()) return ErrnoStatus("open", path_, errno);
    Status status = SetOwner(temp.fd());
    if (!status.ok()) return status;
    switch (Write(plan, temp.fd())) {
      case WriteOutcome::kDone:
        break;
      case WriteOutcome::kFailed:
        return ErrnoStatus("write", path_, errno);
      case WriteOutcome::kSourceChanged:
        return End(CommitOutcome::kChanged);
    }
    // A delayed allocation finds the disk full only now.
    if (!FlushContent(temp.fd())) return ErrnoStatus("fdatasync", path_, errno);
    if (base_ != nullptr && !base_->Verify().ok()) return End(CommitOutcome::kChanged);
    const int64_t previous = base_ == nullptr ? 0 : Nanoseconds(ModifiedAt(base_->info()));
    struct stat own;
    if (!SetNewerModifiedTime(temp.fd(), previous, &own)) {
      return ErrnoStatus("futimens", path_, errno);
    }
    if (!locks_->Check()) return End(CommitOutcome::kLocked);
    if (!IsUnchanged()) return End(CommitOutcome::kChanged);
    bool passes = false;
    status = CheckGuard(request_, &passes);
    if (!status.ok()) return status;
    if (!passes) return End(CommitOutcome::kGuarded);
    // If there was no file, do not replace one that was created meanwhile.
    if (!temp.Rename(path_, base_ == nullptr)) {
      // ENOENT: a writer that took over the lock deleted the temporary file, or its directory is
      // gone. The next try tells them apart.
      if (errno == EEXIST || errno == ENOENT) return End(CommitOutcome::kChanged);
      return ErrnoStatus("rename", path_, errno);
    }
    // The change is in the cache. Whatever fails from here on leaves only a doubt about it.
    struct stat placed = own;
    bool is_written_over = sys::Fstat(temp.fd(), &placed) != 0 || placed.st_size != own.st_size ||
                           Nanoseconds(ModifiedAt(placed)) != Nanoseconds(ModifiedAt(own));
    if (!is_written_over) {
      // Changes the time again after the rename, for file watchers that miss renames but notice a
      // change of the time stamp.
      is_written_over =
          !SetNewerModifiedTime(temp.fd(), previous, &placed) || placed.st_size != own.st_size;
    }
    const bool is_flushed = !request_.durable || FlushNames(path_);
    result_->base_stamp = BaseStamp();
    // If a library without locks has already written to the new file in place, its stamp must not
    // be returned as ours: `own` is the stamp before the rename, which no file has now.
    result_->stamp = CacheFile::StampOf(is_written_over ? own : placed);
    result_->lock_lost = !locks_->Check() || is_written_over || !is_flushed;
    CloseElsewhere();
    return End(CommitOutcome::kWritten);
  }

  // Closes the replaced file on another thread. Closing the last descriptor makes the kernel free
  // the file's blocks, which takes a large part of a small commit. Neither the caller nor other
  // processes that wait for the locks need that.
  void CloseElsewhere() {
    if (base_ == nullptr) return;
    try {
      // A shared_ptr, because jobs must be copyable. If no thread can take the job, it is closed
      // here.
      ReaderThreads::Shared().Post([replaced = std::shared_ptr<CacheFile>(std::move(base_))] {});
    } catch (const std::bad_alloc&) {
      base_.reset();
    }
  }

  // Root may write the cache of another user. Keep that user's ownership, or the user cannot read
  // the cache any more.
  Status SetOwner(int fd) const {
    struct stat wanted;
    if (base_ != nullptr) {
      wanted = base_->info();
    } else if (sys::Stat(path_.substr(0, path_.rfind('/') + 1), &wanted) != 0) {
      return ErrnoStatus("stat", path_, errno);
    }
    if (sys::Fchmod(fd, 0600) != 0) return ErrnoStatus("fchmod", path_, errno);
    if (wanted.st_uid != geteuid() && sys::Fchown(fd, wanted.st_uid, wanted.st_gid) != 0) {
      return ErrnoStatus("fchown", path_, errno);
    }
    return Status::Ok();
  }

  WriteOutcome Write(const EditPlan& plan, int fd) {
    PieceWriter writer(base_.get(), text_.view(), fd, plan.size);
    for (const EditPiece& piece : plan.pieces) {
      WriteOutcome outcome = WriteOutcome::kDone;
      if (piece.text.size() > 0) {
        outcome = writer.Write(piece.text.view());
      } else if (base_ != nullptr) {
        outcome = writer.Copy(piece.offset, piece.size);
      }
      if (outcome != WriteOutcome::kDone) return outcome;
    }
    return writer.Flush();
  }

  // Last check before the rename: a library without locks may have written meanwhile.
  bool IsUnchanged() const {
    std::string stamp;
    const Status status = CacheFile::Stamp(path_, &stamp);
    if (base_ == nullptr) return status.code() == StatusCode::kNotFound;
    return status.ok() && stamp == base_->stamp();
  }

  std::string path_;
  const CommitRequest& request_;
  LockSet* const locks_;
  CommitResult* const result_;
  std::unique_ptr<CacheFile> base_;
  // The content of a small cache; empty for a large one.
  SecureBytes text_;
};

}  // namespace

Status CommitFile(const std::string& path, const CommitRequest& request, LockSet* locks,
                  CommitResult* result) {
  return Commit(path, request, locks, result).Run();
}

}  // namespace stc
