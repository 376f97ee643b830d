#include "io/modified_time_posix.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/errno_status.h"
#include "io/file_times.h"
#include "io/system_calls_posix.h"
#include "io/unique_fd.h"

namespace stc {

namespace {

constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kSecond = 1'000'000'000;

int64_t NewerTime(int64_t previous) {
  const int64_t now = WallClockNanoseconds();
  const int64_t whole = (now + kMillisecond - 1) / kMillisecond * kMillisecond;
  return std::max(whole, previous) + kMillisecond;
}

// Root may create the file in the home directory of a user, who must be able to touch it later. If
// this fails, the file belongs to root.
void GiveToOwnerOfDirectory(int fd, const std::string& path) {
  struct stat directory;
  if (geteuid() == 0 && sys::Stat(path.substr(0, path.rfind('/') + 1), &directory) == 0 &&
      directory.st_uid != 0) {
    sys::Fchown(fd, directory.st_uid, directory.st_gid);
  }
}

}  // namespace

bool SetNewerModifiedTime(int fd, int64_t previous, struct stat* info) {
  const int64_t time = NewerTime(previous);
  const timespec times[2] = {FromNanoseconds(time), FromNanoseconds(time)};
  if (sys::Futimens(fd, times) != 0 || sys::Fstat(fd, info) != 0) return false;
  if (Nanoseconds(ModifiedAt(*info)) >= time - kMillisecond) return true;
  // This file system keeps whole seconds, or even ones only (FAT).
  const timespec coarse = FromNanoseconds((time / (2 * kSecond) + 1) * 2 * kSecond);
  const timespec coarse_times[2] = {coarse, coarse};
  return sys::Futimens(fd, coarse_times) == 0 && sys::Fstat(fd, info) == 0;
}

Status TouchSignalFile(const std::string& path) {
  // O_NOFOLLOW: the file may be in the home directory of another user, who could lead root
  // anywhere.
  constexpr int kFlags = O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW;
  UniqueFd fd(sys::Open(path, kFlags));
  if (!fd.is_open() && errno == ENOENT) {
    fd = UniqueFd(sys::Open(path, kFlags | O_CREAT | O_EXCL, 0600));
    if (fd.is_open()) {
      GiveToOwnerOfDirectory(fd.get(), path);
    } else if (errno == EEXIST) {
      // Another process was faster.
      fd = UniqueFd(sys::Open(path, kFlags));
    }
  }
  if (!fd.is_open()) return ErrnoStatus("open", path, errno);
  struct stat info;
  if (sys::Fstat(fd.get(), &info) != 0) return ErrnoStatus("fstat", path, errno);
  const int64_t previous = Nanoseconds(ModifiedAt(info));
  if (!SetNewerModifiedTime(fd.get(), previous, &info)) return ErrnoStatus("futimens", path, errno);
  return Status::Ok();
}

}  // namespace stc
