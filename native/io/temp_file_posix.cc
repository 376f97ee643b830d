#include "io/temp_file_posix.h"

#include <fcntl.h>
#if defined(__linux__)
#include <linux/fs.h>
#include <sys/syscall.h>
#endif
#include <stdio.h>
#include <unistd.h>

#include <cerrno>

#include "io/system_calls_posix.h"
#include "io/temp_name.h"

namespace stc {

namespace {

bool RenameFile(const std::string& from, const std::string& to, bool must_be_new) {
#if defined(__linux__) && defined(SYS_renameat2)
  if (must_be_new) {
    const auto rename_new = [&] {
      return syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE);
    };
    if (sys::Repeat(rename_new) == 0) return true;
    // The kernel or the file system does not support the flag.
    if (errno != EINVAL && errno != ENOSYS) return false;
  }
#else
  (void)must_be_new;
#endif
  return sys::Rename(from, to) == 0;
}

}  // namespace

TempFile::TempFile(const std::string& beside) : path_(TempName(beside, kTempFileSuffix)) {}

TempFile::~TempFile() {
  if (fd_.is_open() && !is_kept_) sys::Unlink(path_);
}

bool TempFile::Create() {
  fd_ = UniqueFd(sys::Open(path_, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  return fd_.is_open();
}

bool TempFile::Rename(const std::string& path, bool must_be_new) {
  is_kept_ = RenameFile(path_, path, must_be_new);
  return is_kept_;
}

}  // namespace stc
