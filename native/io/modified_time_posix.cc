#include "io/modified_time_posix.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "base/errno_status.h"
#include "io/file_times.h"
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

}  // namespace

bool SetNewerModifiedTime(int fd, int64_t previous, struct stat* info) {
  const int64_t time = NewerTime(previous);
  const timespec times[2] = {FromNanoseconds(time), FromNanoseconds(time)};
  if (futimens(fd, times) != 0 || fstat(fd, info) != 0) return false;
  if (Nanoseconds(ModifiedAt(*info)) >= time - kMillisecond) return true;
  // This file system keeps whole seconds, or even ones only (FAT).
  const timespec coarse = FromNanoseconds((time / (2 * kSecond) + 1) * 2 * kSecond);
  const timespec coarse_times[2] = {coarse, coarse};
  return futimens(fd, coarse_times) == 0 && fstat(fd, info) == 0;
}

Status TouchSignalFile(const std::string& path) {
  const UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600));
  if (!fd.is_open()) return ErrnoStatus("open", path, errno);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus("fstat", path, errno);
  const int64_t previous = Nanoseconds(ModifiedAt(info));
  if (!SetNewerModifiedTime(fd.get(), previous, &info)) return ErrnoStatus("futimens", path, errno);
  return Status::Ok();
}

}  // namespace stc
