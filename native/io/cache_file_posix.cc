#include "io/cache_file_posix.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/errno_status.h"
#include "io/cache_file_errors.h"
#include "io/file_times.h"
#include "io/system_calls_posix.h"

namespace stc {

namespace {

Status NotFoundOr(const char* operation, const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) return Status::NotFound();
  return ErrnoStatus(operation, path, error);
}

Status CheckKind(const std::string& path, const struct stat& info) {
  if (S_ISDIR(info.st_mode)) return ErrnoStatus("open", path, EISDIR);
  if (!S_ISREG(info.st_mode)) return ErrnoStatus("open", path, EINVAL);
  if (info.st_size > kMaxCacheSize) return CacheTooLarge("read", path);
  return Status::Ok();
}

}  // namespace

Status CacheFile::Open(const std::string& path, std::unique_ptr<CacheFile>* file) {
  // O_NONBLOCK: opening a FIFO without a writer would block for ever. Has no effect on a file.
  UniqueFd fd(sys::Open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.is_open()) return NotFoundOr("open", path, errno);
  struct stat info;
  if (sys::Fstat(fd.get(), &info) != 0) return ErrnoStatus("fstat", path, errno);
  Status status = CheckKind(path, info);
  if (status.ok()) *file = std::make_unique<CacheFile>(std::move(fd), path, info);
  return status;
}

Status CacheFile::Stamp(const std::string& path, std::string* stamp) {
  struct stat info;
  if (sys::Stat(path, &info) != 0) return NotFoundOr("stat", path, errno);
  *stamp = StampOf(info);
  return Status::Ok();
}

std::string CacheFile::StampOf(const struct stat& info) {
  return std::to_string(static_cast<uint64_t>(info.st_dev)) + ":" +
         std::to_string(static_cast<uint64_t>(info.st_ino)) + ":" +
         std::to_string(static_cast<int64_t>(info.st_size)) + ":" +
         std::to_string(Nanoseconds(ModifiedAt(info))) + ":" +
         std::to_string(Nanoseconds(ChangedAt(info)));
}

CacheFile::CacheFile(UniqueFd fd, const std::string& path, const struct stat& info)
    : fd_(std::move(fd)), path_(path), opened_(info), stamp_(StampOf(info)) {}

std::string_view CacheFile::Whole(bool* whole) const {
  *whole = false;
  return {};
}

Status CacheFile::Read(char* buffer, size_t capacity, size_t* size) {
  const ssize_t got = PreadOnce(buffer, capacity, offset_);
  if (got < 0) return NotFoundOr("read", path_, errno);
  offset_ += got;
  *size = static_cast<size_t>(got);
  // A writer may keep appending.
  if (offset_ > kMaxCacheSize) return CacheTooLarge("read", path_);
  return Status::Ok();
}

Status CacheFile::Fetch(uint64_t offset, size_t size, char* buffer) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = PreadOnce(buffer + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0) return ErrnoStatus("read", path_, errno);
    if (got == 0) return CacheChanged("fstat", path_);
    done += static_cast<size_t>(got);
  }
  return Status::Ok();
}

Status CacheFile::Verify() {
  struct stat info;
  if (sys::Fstat(fd_.get(), &info) != 0) return ErrnoStatus("fstat", path_, errno);
  // Not the ctime: a rename over the path changes it, but the content of the old file stays whole.
  const bool is_same = info.st_size == opened_.st_size &&
                       Nanoseconds(ModifiedAt(info)) == Nanoseconds(ModifiedAt(opened_));
  return is_same ? Status::Ok() : CacheChanged("fstat", path_);
}

double CacheFile::modified_ms() const {
  const timespec& modified = ModifiedAt(opened_);
  return static_cast<double>(modified.tv_sec) * 1e3 + static_cast<double>(modified.tv_nsec) / 1e6;
}

ssize_t CacheFile::PreadOnce(char* buffer, size_t size, off_t offset) const {
  return sys::Pread(fd_.get(), buffer, size, offset);
}

}  // namespace stc
