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

// The headers that a build finds may be older than the kernel that it runs on. Source:
// include/uapi/asm-generic/unistd.h, include/uapi/linux/openat2.h and fs.h of Linux 6.12.
constexpr long kOpenat2 = 437;  // NOLINT(google-runtime-int): syscall's type
constexpr uint64_t kResolveCached = 0x20;
constexpr int kNoWait = 0x8;

struct OpenHow {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};

// Where looking at files is slow for a reason that cannot be seen from here, such as a virus
// scanner that is asked first, one look is enough.
std::atomic<bool> is_slow{false};
constexpr auto kSlow = std::chrono::milliseconds(5);

// Fails with EAGAIN where a name of the path is not in memory. Since Linux 5.12; ENOSYS or EINVAL
// before.
UniqueFd OpenCached(const std::string& path, int flags) {
  const OpenHow how = {static_cast<uint64_t>(flags), 0, kResolveCached};
  const auto begin = std::chrono::steady_clock::now();
  UniqueFd fd(static_cast<int>(syscall(kOpenat2, AT_FDCWD, path.c_str(), &how, sizeof(how))));
  const int error = errno;
  if (std::chrono::steady_clock::now() - begin > kSlow) is_slow = true;
  errno = error;
  return fd;
}

// Whether a file can be opened without asking anybody. The disk of a device can answer late, but it
// is not asked; whoever serves a file system without one, over a network or as another process, may
// be asked by each call. Some of them, such as Btrfs, are as good as a disk: no more is lost than
// time.
bool IsOnDevice(int place) {
  struct statx info;
  // By `AT_STATX_DONT_SYNC`, what is known here will do.
  return syscall(SYS_statx, place, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &info) ==
             0 &&
         S_ISREG(info.stx_mode) && info.stx_dev_major != 0;
}

// A sandbox's list of system calls may be older than those that are made here, and may end the
// process for one that it does not know.
bool IsSandboxed() { return prctl(PR_GET_SECCOMP) != 0; }

enum class Look { kFound, kAbsent, kUnknown };

// Looks a regular file up. `*place` is open on it, for its state alone.
Look LookUp(const std::string& path, UniqueFd* place) {
  if (is_slow || IsSandboxed()) return Look::kUnknown;
  *place = OpenCached(path, O_PATH | O_CLOEXEC);
  if (!place->is_open()) {
    return errno == ENOENT || errno == ENOTDIR ? Look::kAbsent : Look::kUnknown;
  }
  return IsOnDevice(place->get()) ? Look::kFound : Look::kUnknown;
}

}  // namespace

bool PageCacheFile::Stamp(const std::string& path, Status* status, std::string* stamp) {
  UniqueFd place;
  const Look look = LookUp(path, &place);
  struct stat info;
  if (look == Look::kUnknown || (look == Look::kFound && fstat(place.get(), &info) != 0)) {
    return false;
  }
  *status = look == Look::kAbsent ? Status::NotFound() : Status::Ok();
  if (look == Look::kFound) *stamp = StampOf(info);
  return true;
}

bool PageCacheFile::Open(const std::string& path, Status* status,
                         std::unique_ptr<PageCacheFile>* file) {
  UniqueFd place;
  const Look look = LookUp(path, &place);
  if (look == Look::kUnknown) return false;
  if (look == Look::kAbsent) {
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
  // Takes what is in memory. Since Linux 4.14.
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
