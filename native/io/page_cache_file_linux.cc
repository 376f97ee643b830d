#include "io/page_cache_file_linux.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "io/buffer_pool.h"

namespace stc {

namespace {

// Defined here, because the kernel headers of a build may be older than the kernel that runs it.
// Source: include/uapi/asm-generic/unistd.h, include/uapi/linux/openat2.h and fs.h of Linux 6.12.
constexpr long kOpenat2 = 437;  // NOLINT(google-runtime-int): syscall's type
constexpr uint64_t kResolveCached = 0x20;
constexpr int kNoWait = 0x8;

struct OpenHow {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};

// Set after an open took longer than kSlow: something that we cannot detect, such as a virus
// scanner, makes opening files slow on this machine. All files are left to threads then.
std::atomic<bool> is_slow{false};
constexpr auto kSlow = std::chrono::milliseconds(5);

// Opens a file if all directories of its path are in the kernel's cache. Fails with EAGAIN if not,
// and with ENOSYS or EINVAL before Linux 5.12.
UniqueFd OpenCached(const std::string& path, int flags) {
  const OpenHow how = {static_cast<uint64_t>(flags), 0, kResolveCached};
  const auto begin = std::chrono::steady_clock::now();
  UniqueFd fd(static_cast<int>(syscall(kOpenat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
  const int error = errno;
  if (std::chrono::steady_clock::now() - begin > kSlow) is_slow = true;
  errno = error;
  return fd;
}

// Returns whether `fd` is a regular file on a block device. Opening one that is cached does not
// access the device. A file system without a device may ask a server or another process on each
// call. Some, such as Btrfs, do not; for them this only costs time.
bool IsOnDevice(int fd) {
  struct statx info;
  // AT_STATX_DONT_SYNC: use cached attributes.
  return syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &info) == 0 &&
         S_ISREG(info.stx_mode) && info.stx_dev_major != 0;
}

// A seccomp filter that does not know openat2 or statx may kill the process for calling them.
bool IsSandboxed() { return prctl(PR_GET_SECCOMP) != 0; }

enum class Lookup { kFound, kAbsent, kUnknown };

// Looks up a regular file without waiting. If it is found, `*fd` is open on it with O_PATH.
Lookup LookUp(const std::string& path, UniqueFd* fd) {
  if (is_slow || IsSandboxed()) return Lookup::kUnknown;
  *fd = OpenCached(path, O_PATH | O_CLOEXEC);
  if (!fd->is_open()) {
    return errno == ENOENT || errno == ENOTDIR ? Lookup::kAbsent : Lookup::kUnknown;
  }
  return IsOnDevice(fd->get()) ? Lookup::kFound : Lookup::kUnknown;
}

}  // namespace

bool PageCacheFile::Stamp(const std::string& path, Status* status, std::string* stamp) {
  UniqueFd path_fd;
  const Lookup lookup = LookUp(path, &path_fd);
  struct stat info;
  if (lookup == Lookup::kUnknown ||
      (lookup == Lookup::kFound && fstat(path_fd.get(), &info) != 0)) {
    return false;
  }
  *status = lookup == Lookup::kAbsent ? Status::NotFound() : Status::Ok();
  if (lookup == Lookup::kFound) *stamp = StampOf(info);
  return true;
}

bool PageCacheFile::Open(const std::string& path, Status* status,
                         std::unique_ptr<PageCacheFile>* file) {
  UniqueFd path_fd;
  const Lookup lookup = LookUp(path, &path_fd);
  if (lookup == Lookup::kUnknown) return false;
  if (lookup == Lookup::kAbsent) {
    *status = Status::NotFound();
    return true;
  }
  UniqueFd fd = OpenCached(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat info;
  if (!fd.is_open() || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_size > static_cast<off_t>(BufferPool::kBufferSize)) {
    return false;
  }
  SecureBytes bytes = BufferPool::Take();
  const iovec whole = {bytes.data(), BufferPool::kBufferSize};
  // RWF_NOWAIT: reads what is in the page cache. Since Linux 4.14.
  if (syscall(SYS_preadv2, fd.get(), &whole, 1, 0, 0, kNoWait) != info.st_size) {
    BufferPool::Return(std::move(bytes));
    return false;
  }
  *file = std::make_unique<PageCacheFile>(std::move(fd), path, info, std::move(bytes));
  *status = Status::Ok();
  return true;
}

PageCacheFile::PageCacheFile(UniqueFd fd, const std::string& path, const struct stat& info,
                             SecureBytes bytes)
    : CacheFile(std::move(fd), path, info), bytes_(std::move(bytes)) {}

PageCacheFile::~PageCacheFile() { BufferPool::Return(std::move(bytes_)); }

std::string_view PageCacheFile::Whole(bool* whole) const {
  *whole = true;
  return {bytes_.data(), static_cast<size_t>(info().st_size)};
}

Status PageCacheFile::Read(char* /*buffer*/, size_t /*capacity*/, size_t* size) {
  *size = 0;
  return Status::Ok();
}

Status PageCacheFile::Fetch(uint64_t offset, size_t size, char* buffer) {
  std::memcpy(buffer, bytes_.data() + offset, size);
  return Status::Ok();
}

}  // namespace stc
