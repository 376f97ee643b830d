#include "io/flush_posix.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "io/system_calls_posix.h"
#include "io/unique_fd.h"

namespace stc {

namespace {

// Whether the error means that this kind of file cannot be flushed. Source: fsync(2), POSIX.
bool IsUnsupported(int error) {
  return error == EINVAL || error == ENOTSUP || error == EOPNOTSUPP || error == ENOSYS ||
         error == ENOTTY;
}

bool Fsync(int fd) {
  return sys::Repeat([fd] { return fsync(fd); }) == 0 || IsUnsupported(errno);
}

}  // namespace

bool FlushContent(int fd) {
#if defined(__APPLE__)
  // fsync leaves the content in the cache of the disk, which may write it after the name. The
  // barrier keeps the order and costs less than emptying that cache (F_FULLFSYNC). APFS alone has
  // it. Source: fcntl(2) of macOS.
  if (sys::Repeat([fd] { return fcntl(fd, F_BARRIERFSYNC); }) != -1) return true;
  return Fsync(fd);
#else
  return sys::Repeat([fd] { return fdatasync(fd); }) == 0 || IsUnsupported(errno);
#endif
}

bool FlushNames(const std::string& path) {
  const UniqueFd directory(
      sys::Open(path.substr(0, path.rfind('/') + 1), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (!directory.is_open()) return false;
#if defined(__APPLE__)
  if (sys::Repeat([&] { return fcntl(directory.get(), F_FULLFSYNC); }) != -1) return true;
#endif
  return Fsync(directory.get());
}

}  // namespace stc
