#include "stores/file_commit_posix.h"

#include <fcntl.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <linux/fs.h>
#include <sys/syscall.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "base/errno_status.h"
#include "base/secure_bytes.h"
#include "cache/cache_editor.h"
#include "io/buffer_pool.h"
#include "io/cache_file_posix.h"
#include "io/file_times.h"
#include "io/memory_source.h"
#include "io/reader_threads.h"
#include "io/temp_name.h"
#include "io/unique_fd.h"

namespace stc {

namespace {

constexpr char kTempSuffix[] = ".tmp";
constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kSecond = 1'000'000'000;

// A new file that the destructor deletes, unless Keep was called.
class TempFile {
 public:
  explicit TempFile(const std::string& beside) : path_(TempName(beside, kTempSuffix)) {}
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    if (fd_.is_open() && !is_kept_) unlink(path_.c_str());
  }

  bool Create() {
    fd_ = UniqueFd(open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    return fd_.is_open();
  }
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  void Keep() { is_kept_ = true; }

 private:
  const std::string path_;
  UniqueFd fd_;
  bool is_kept_ = false;
};

// Loops, because on a full disk the first write may be short, and only the next one fails.
bool WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = write(fd, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (written == 0) {
      errno = ENOSPC;
      return false;
    }
    data += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

enum class WriteOutcome { kDone, kFailed, kSourceChanged };

// Writes the new cache from new text and ranges of the old cache. Collects them in a buffer: around
// the fields of a record, they are only a few bytes long. The size of the buffer is measured.
class PieceWriter {
 public:
  // `from`: null if there is no old cache. `text`: content of the old cache if it is in memory,
  // otherwise empty. `size`: total bytes that will be written.
  PieceWriter(const CacheFile* from, std::string_view text, int to, uint64_t size)
      : from_(from),
        text_(text),
        to_(to),
        buffer_(static_cast<size_t>(std::min(size, kBufferSize))) {}

  WriteOutcome Write(std::string_view text) {
    while (!text.empty()) {
      const size_t step = std::min(text.size(), buffer_.size() - filled_);
      std::memcpy(buffer_.data() + filled_, text.data(), step);
      text.remove_prefix(step);
      if (!Advance(step)) return WriteOutcome::kFailed;
    }
    return WriteOutcome::kDone;
  }

  WriteOutcome Copy(uint64_t offset, uint64_t size) {
    if (!text_.empty()) {
      return Write(text_.substr(static_cast<size_t>(offset), static_cast<size_t>(size)));
    }
    while (size > 0) {
      const size_t step = static_cast<size_t>(std::min<uint64_t>(size, buffer_.size() - filled_));
      const ssize_t got =
          pread(from_->fd(), buffer_.data() + filled_, step, static_cast<off_t>(offset));
      // The file has been truncated.
      if (got == 0) return WriteOutcome::kSourceChanged;
      if (got < 0) {
        if (errno == EINTR) continue;
        return WriteOutcome::kFailed;
      }
      if (!Advance(static_cast<size_t>(got))) return WriteOutcome::kFailed;
      offset += static_cast<uint64_t>(got);
      size -= static_cast<uint64_t>(got);
    }
    return WriteOutcome::kDone;
  }

  WriteOutcome Flush() {
    if (!WriteAll(to_, buffer_.data(), filled_)) return WriteOutcome::kFailed;
    filled_ = 0;
    return WriteOutcome::kDone;
  }

 private:
  static constexpr uint64_t kBufferSize = uint64_t{1} << 20;

  bool Advance(size_t size) {
    filled_ += size;
    return filled_ < buffer_.size() || Flush() == WriteOutcome::kDone;
  }

  const CacheFile* const from_;
  const std::string_view text_;
  const int to_;
  SecureBytes buffer_;
  size_t filled_ = 0;
};

// Returns a modification time that all other libraries see as newer. Some compare whole
// milliseconds with the time at which they loaded the cache, and the clock that kernels use for
// time stamps may be one tick behind. `previous`: time of the replaced file, or 0.
int64_t NextModified(int64_t previous) {
  const int64_t now = WallClockNanoseconds();
  const int64_t whole = (now + kMillisecond - 1) / kMillisecond * kMillisecond;
  return std::max(whole, previous) + kMillisecond;
}

// `*info`: the state of the file after the change.
bool SetModified(int fd, int64_t nanoseconds, struct stat* info) {
  const timespec times[2] = {FromNanoseconds(nanoseconds), FromNanoseconds(nanoseconds)};
  if (futimens(fd, times) != 0 || fstat(fd, info) != 0) return false;
  if (Nanoseconds(ModifiedAt(*info)) >= nanoseconds - kMillisecond) return true;
  // This file system keeps whole seconds, or even ones only (FAT).
  const timespec coarse = FromNanoseconds((nanoseconds / (2 * kSecond) + 1) * 2 * kSecond);
  const timespec coarse_times[2] = {coarse, coarse};
  return futimens(fd, coarse_times) == 0 && fstat(fd, info) == 0;
}

class Commit {
 public:
  Commit(const std::string& path, const CommitRequest& request, LockSet* locks,
         CommitResult* result)
      : path_(path), request_(request), locks_(locks), result_(result) {}

  Status Run() {
    Status status = Resolve();
    if (!status.ok()) return status;
    Sweep();
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
    return (WallClockNanoseconds() - Nanoseconds(ModifiedAt(base_->info()))) / kMillisecond;
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
    struct stat info;
    if (lstat(path_.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return Status::Ok();
    char* const target = realpath(path_.c_str(), nullptr);
    if (target == nullptr) return ErrnoStatus("realpath", path_, errno);
    path_ = target;
    free(target);
    return Status::Ok();
  }

  void Sweep() const {
    if (!ShouldSweep(path_, *locks_)) return;
    ForEachTemp(path_, kTempSuffix, [](const std::string& orphan) { unlink(orphan.c_str()); });
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
    if (base_ != nullptr && !base_->Verify().ok()) return End(CommitOutcome::kChanged);
    const int64_t previous = base_ == nullptr ? 0 : Nanoseconds(ModifiedAt(base_->info()));
    struct stat own;
    if (!SetModified(temp.fd(), NextModified(previous), &own)) {
      return ErrnoStatus("futimens", path_, errno);
    }
    if (!locks_->Check()) return End(CommitOutcome::kLocked);
    if (!IsUnchanged()) return End(CommitOutcome::kChanged);
    if (!Rename(temp.path())) {
      // ENOENT: a writer that took over the lock deleted the temporary file, or its directory is
      // gone. The next try tells them apart.
      if (errno == EEXIST || errno == ENOENT) return End(CommitOutcome::kChanged);
      return ErrnoStatus("rename", path_, errno);
    }
    temp.Keep();
    struct stat placed;
    if (fstat(temp.fd(), &placed) != 0) return ErrnoStatus("fstat", path_, errno);
    bool is_written_over = placed.st_size != own.st_size ||
                           Nanoseconds(ModifiedAt(placed)) != Nanoseconds(ModifiedAt(own));
    if (!is_written_over) {
      // Changes the time again after the rename, for file watchers that miss renames but notice a
      // change of the time stamp.
      SetModified(temp.fd(), NextModified(previous), &placed);
      is_written_over = placed.st_size != own.st_size;
    }
    result_->base_stamp = BaseStamp();
    // If a library without locks has already written to the new file in place, its stamp must not
    // be returned as ours: `own` is the stamp before the rename, which no file has now.
    result_->stamp = CacheFile::StampOf(is_written_over ? own : placed);
    result_->lock_lost = !locks_->Check() || is_written_over;
    CloseElsewhere();
    return End(CommitOutcome::kWritten);
  }

  // Closes the replaced file on another thread. Closing the last descriptor makes the kernel free
  // the file's blocks, which takes a large part of a small commit. Neither the caller nor other
  // processes that wait for the locks need that.
  void CloseElsewhere() {
    if (base_ == nullptr) return;
    // A shared_ptr, because jobs must be copyable. If no thread can take the job, it is closed
    // here.
    ReaderThreads::Shared().Post([replaced = std::shared_ptr<CacheFile>(std::move(base_))] {});
  }

  // Root may write the cache of another user. Keep that user's ownership, or the user cannot read
  // the cache any more.
  Status SetOwner(int fd) const {
    struct stat wanted;
    if (base_ != nullptr) {
      wanted = base_->info();
    } else if (stat(path_.substr(0, path_.rfind('/') + 1).c_str(), &wanted) != 0) {
      return ErrnoStatus("stat", path_, errno);
    }
    if (fchmod(fd, 0600) != 0) return ErrnoStatus("fchmod", path_, errno);
    if (wanted.st_uid != geteuid() && fchown(fd, wanted.st_uid, wanted.st_gid) != 0) {
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

  bool Rename(const std::string& from) const {
#if defined(__linux__) && defined(SYS_renameat2)
    // If there was no file, do not replace one that was created meanwhile.
    if (base_ == nullptr) {
      if (syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, path_.c_str(),
                  RENAME_NOREPLACE) == 0) {
        return true;
      }
      if (errno != EINVAL && errno != ENOSYS) return false;
    }
#endif
    return rename(from.c_str(), path_.c_str()) == 0;
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

Status TouchSignalFile(const std::string& path) {
  const UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
  if (!fd.is_open()) return ErrnoStatus("open", path, errno);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus("fstat", path, errno);
  const int64_t previous = Nanoseconds(ModifiedAt(info));
  if (!SetModified(fd.get(), NextModified(previous), &info))
    return ErrnoStatus("futimens", path, errno);
  return Status::Ok();
}

}  // namespace stc
