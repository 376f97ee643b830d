// The lock file on Linux and macOS.
//
// A lock is taken by creating a private file, locking it with flock and (on Linux) an OFD lock,
// writing it, and then linking it to the lock's path. So the file is locked in every way before it
// has the name that other libraries look at: a library that creates exclusively finds the name
// taken, one that uses flock finds the file locked, and one that uses fcntl conflicts with the OFD
// lock. On macOS flock and fcntl locks conflict with each other, so flock is enough there.
//
// Other libraries: MSAL extensions for .NET (flock, unlink), Python (O_EXCL, then flock), Java
// (O_EXCL, then fcntl) and Node (O_EXCL alone), MSAL for Go (flock). IsStale decides whether a lock
// file that nobody holds was left behind.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <sys/vfs.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/errno_status.h"
#include "base/no_destructor.h"
#include "io/file_lock.h"
#include "io/file_times.h"
#include "io/lock_ages.h"
#include "io/lock_observations.h"
#include "io/lock_text.h"
#include "io/temp_name.h"
#include "io/unique_fd.h"

namespace stc {

namespace {

// Ends the name under which a stale lock file is moved away.
constexpr char kStaleSuffix[] = ".x";

// The largest value of pid_t.
constexpr uint32_t kMaxPid = 0x7FFFFFFF;

using Clock = std::chrono::steady_clock;

// Time between two searches for private files of dead processes beside one lock file.
constexpr std::chrono::seconds kSweepInterval{60};

bool IsSame(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

double Seconds(int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

// kUnknown: the file system has no such locks (Lustre unless mounted with them, NFS 3 without its
// lock daemon), so a holder cannot be detected.
enum class KernelLock { kOurs, kHeld, kUnknown };

// Takes both kernel locks on the whole file; only flock on macOS.
KernelLock LockInKernel(int fd) {
  bool is_ours = flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (!is_ours && errno == EWOULDBLOCK) return KernelLock::kHeld;
// Not on macOS, whose headers define it: flock and OFD locks conflict with each other there, so
// this one would add nothing.
#if defined(F_OFD_SETLK) && !defined(__APPLE__)
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(fd, F_OFD_SETLK, &whole) == 0) {
    is_ours = true;
  } else if (errno == EAGAIN || errno == EACCES) {
    return KernelLock::kHeld;
  }
#endif
  return is_ours ? KernelLock::kOurs : KernelLock::kUnknown;
}

void UnlockInKernel(int fd) {
  flock(fd, LOCK_UN);
#if defined(F_OFD_SETLK) && !defined(__APPLE__)
  struct flock whole = {};
  whole.l_type = F_UNLCK;
  whole.l_whence = SEEK_SET;
  fcntl(fd, F_OFD_SETLK, &whole);
#endif
}

// A lock file of any library, which is locked while we examine it. Unlocks before it closes:
// another thread may be forking, and until the child calls exec it holds the same open file.
class ExaminedFile {
 public:
  ExaminedFile() = default;
  ExaminedFile(const ExaminedFile&) = delete;
  ExaminedFile& operator=(const ExaminedFile&) = delete;
  ~ExaminedFile() { Close(); }

  // Returns false and sets errno on failure.
  bool Open(const std::string& path) {
    Close();
    // O_NONBLOCK: opening a FIFO would block.
    fd_ = UniqueFd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    return fd_.is_open();
  }
  void Close() {
    if (fd_.is_open()) UnlockInKernel(fd_.get());
    fd_.Close();
  }
  int get() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

LockAge AgeOf(const std::string& path, const struct stat& info) {
  const int64_t modified = Nanoseconds(ModifiedAt(info));
  const int64_t now = WallClockNanoseconds();
  LockAge age;
  age.observed = LockObservations::Shared().SecondsSince(
      path, {static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino), modified});
  age.longest = std::max({age.observed, Seconds(now - modified),
                          // Programs cannot set this one.
                          Seconds(now - Nanoseconds(ChangedAt(info)))});
  return age;
}

// ---- Whether the writer of a lock file lives ----

// The start time that StartOf returns for a zombie, which still has its process id but no longer
// runs. Later than any file.
constexpr double kZombieStart = std::numeric_limits<double>::infinity();

#if defined(__linux__)

// Returns when the machine was started, Unix seconds; 0 if it is not known. Not cached, because it
// changes when the wall clock is set.
double BootTime() {
  double seconds = 0;
  if (FILE* file = std::fopen("/proc/stat", "re")) {
    char line[256];
    while (seconds == 0 && std::fgets(line, sizeof line, file) != nullptr) {
      if (std::strncmp(line, "btime ", 6) == 0) seconds = std::strtod(line + 6, nullptr);
    }
    std::fclose(file);
  }
  return seconds;
}

// Returns when a process was started, Unix seconds; 0 if it is not known, kZombieStart for a
// zombie.
double StartOf(pid_t pid) {
  // Fields 3 and 22 of its stat file: the state, and the start in ticks since boot. Source:
  // proc(5).
  const double boot = BootTime();
  static const double ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  FILE* const file = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "re");
  if (file == nullptr || boot == 0) {
    if (file != nullptr) std::fclose(file);
    return 0;
  }
  char text[1024];
  const size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[size] = '\0';
  // Field 2, the name, is in parentheses and may contain any character.
  const char* field = std::strrchr(text, ')');
  if (field != nullptr && std::strncmp(field, ") Z", 3) == 0) return kZombieStart;
  for (int number = 2; field != nullptr && number < 22; ++number) {
    field = std::strchr(field + 1, ' ');
  }
  return field == nullptr ? 0 : boot + std::strtod(field, nullptr) / ticks_per_second;
}

// Returns whether processes whose ids mean nothing here may use this directory: those of another
// machine or another pid namespace.
bool MayBeShared(int fd) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return true;
  // Source: linux/magic.h, and the kernel's sources of cifs, ceph and virtiofs.
  switch (static_cast<uint32_t>(info.f_type)) {
    case 0x6969:      // NFS
    case 0x517B:      // SMB
    case 0xFF534D42:  // CIFS
    case 0xFE534D42:  // SMB2
    case 0x65735546:  // FUSE
    case 0x01021997:  // 9P
    case 0x00C36400:  // Ceph
    case 0x6A656A63:  // virtiofs
      return true;
    default:
      break;
  }
  static const bool is_contained = [] {
    char name[64] = {};
    const ssize_t size = readlink("/proc/self/ns/pid", name, sizeof name - 1);
    // The inode number of the initial namespace. Source: linux/proc_ns.h, PROC_PID_INIT_INO.
    return size <= 0 || std::string_view(name, static_cast<size_t>(size)) != "pid:[4026531836]";
  }();
  return is_contained;
}

#elif defined(__APPLE__)

double StartOf(pid_t pid) {
  int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, pid};
  kinfo_proc info = {};
  size_t size = sizeof info;
  if (sysctl(name, 4, &info, &size, nullptr, 0) != 0 || size == 0) return 0;
  if (info.kp_proc.p_stat == SZOMB) return kZombieStart;
  const timeval& start = info.kp_proc.p_starttime;
  return static_cast<double>(start.tv_sec) + static_cast<double>(start.tv_usec) / 1e6;
}

bool MayBeShared(int /*fd*/) { return false; }

#endif

enum class Writer { kUnknown, kDead, kLiving };

// `info`: of the lock file that names `pid`.
Writer WriterOf(pid_t pid, const struct stat& info) {
  if (pid <= 0) return Writer::kUnknown;
  if (kill(pid, 0) != 0 && errno == ESRCH) return Writer::kDead;
  // A process that started after the last change of the file reuses the writer's id.
  return StartOf(pid) > Seconds(Nanoseconds(ChangedAt(info))) + 1 ? Writer::kDead : Writer::kLiving;
}

// Returns whether a lock file was left behind. No kernel lock of its holder is visible. `fd` is
// open on it, with our kernel locks as `kernel` says.
bool IsStale(const std::string& path, int fd, const struct stat& info, KernelLock kernel) {
  char buffer[kMaxLockText];
  const ssize_t size = pread(fd, buffer, sizeof buffer, 0);
  const LockText text = ParseLockText({buffer, size > 0 ? static_cast<size_t>(size) : 0}, kMaxPid);
  const LockAge age = AgeOf(path, info);
  if (text.library == LockLibrary::kNone) return age.longest > kEmptyAge;
  const bool is_ours = text.library == LockLibrary::kOurs;
  // These libraries hold kernel locks, and we have them now. Where the file system has none, the
  // existence of the file has to count as their lock, too.
  const bool is_released = kernel == KernelLock::kOurs && text.library != LockLibrary::kOther;
  if (is_released && is_ours) return true;
  const Writer writer = WriterOf(static_cast<pid_t>(text.pid), info);
  if (is_released) return writer == Writer::kDead || age.observed > kReleasedAge;
  if (writer == Writer::kDead) {
    // File systems without kernel locks are usually shared by several machines.
    const bool may_live_elsewhere = kernel == KernelLock::kUnknown || MayBeShared(fd);
    return age.longest > (may_live_elsewhere ? kDeadElsewhereAge : kDeadAge);
  }
  // A living process of this addon deletes its lock file, however old.
  return !is_ours && age.longest > kLivingAge;
}

// ---- The lock ----

struct Sweeps {
  std::mutex mutex;
  std::unordered_map<std::string, Clock::time_point> swept;
};

// Deletes private files of processes that died before they deleted them: at the first lock of this
// path in this process, once per kSweepInterval, and after a stale lock was taken over. Needs no
// lock: a living process has its private file locked, or is named in it.
void SweepOrphans(const std::string& path, bool took_over) {
  {
    auto& sweeps = NoDestructor<Sweeps>();
    const std::lock_guard<std::mutex> guard(sweeps.mutex);
    const Clock::time_point now = Clock::now();
    const auto [entry, is_new] = sweeps.swept.try_emplace(path, now);
    if (!is_new && !took_over && now - entry->second < kSweepInterval) return;
    entry->second = now;
  }
  for (const char* suffix : {"", kStaleSuffix}) {
    ForEachTemp(path, suffix, [](const std::string& orphan) {
      ExaminedFile fd;
      if (!fd.Open(orphan)) return;
      const KernelLock kernel = LockInKernel(fd.get());
      struct stat info;
      if (kernel == KernelLock::kOurs ||
          (kernel == KernelLock::kUnknown && fstat(fd.get(), &info) == 0 &&
           IsStale(orphan, fd.get(), info, kernel))) {
        unlink(orphan.c_str());
      }
      LockObservations::Shared().Forget(orphan);
    });
  }
}

class PosixFileLock : public FileLock {
 public:
  PosixFileLock(std::string path, std::string private_path, UniqueFd fd, bool took_over)
      : path_(std::move(path)),
        private_path_(std::move(private_path)),
        fd_(std::make_shared<UniqueFd>(std::move(fd))),
        took_over_(took_over) {
    fstat(fd_->get(), &identity_);
  }

  // Another name of the same inode.
  PosixFileLock(std::string path, const PosixFileLock& first)
      : path_(std::move(path)),
        private_path_(first.private_path_),
        is_extension_(true),
        fd_(first.fd_),
        took_over_(false),
        identity_(first.identity_) {}

  ~PosixFileLock() override {
    struct stat now;
    // Deleted before it is unlocked, so that no other library finds it existing and unlocked.
    if (lstat(path_.c_str(), &now) == 0 && IsSame(now, identity_)) unlink(path_.c_str());
    if (is_extension_) return;
    fd_->Close();
    if (!private_path_.empty()) unlink(private_path_.c_str());
  }

  // Saves creating and freeing an inode, a third of the file system's work (measured: bench P9).
  std::unique_ptr<FileLock> TryExtend(const std::string& path) override {
    if (private_path_.empty() || link(private_path_.c_str(), path.c_str()) != 0) return nullptr;
    SweepOrphans(path, false);
    return std::make_unique<PosixFileLock>(path, *this);
  }

  bool Check() override {
    struct stat now;
    if (lstat(path_.c_str(), &now) == 0) return IsSame(now, identity_);
    return errno == ENOENT && !private_path_.empty() &&
           link(private_path_.c_str(), path_.c_str()) == 0;
  }

  Status Touch() override {
    if (futimens(fd_->get(), nullptr) != 0) return ErrnoStatus("futimens", path_, errno);
    return Status::Ok();
  }

  bool took_over() const override { return took_over_; }

 private:
  const std::string path_;
  // The private name of the inode, from which Check links it again. Empty if the file system has no
  // hard links.
  const std::string private_path_;
  // Whether another PosixFileLock owns the private name and the kernel locks.
  const bool is_extension_ = false;
  const std::shared_ptr<UniqueFd> fd_;
  const bool took_over_;
  struct stat identity_ = {};
};

enum class Step {
  // The lock file changed meanwhile: examine it again.
  kRetry,
  // There is no lock file.
  kAbsent,
  // The lock is ours.
  kAcquired,
  // Another process holds the lock.
  kHeld,
  // See status_.
  kFailed,
};

class Acquisition {
 public:
  explicit Acquisition(const std::string& path) : path_(path) {}

  Status Run(std::unique_ptr<FileLock>* lock) {
    // A retry follows a change by another process. After eight, the lock counts as held: others
    // take it all the time.
    for (int attempt = 0; attempt < 8; ++attempt) {
      Step step = Examine();
      if (step == Step::kAbsent) step = Create(lock);
      if (step == Step::kFailed) return status_;
      if (step == Step::kHeld) break;
      if (step == Step::kAcquired) {
        LockObservations::Shared().Forget(path_);
        // It may be another name of a private file, which SweepOrphans would find locked by us.
        examined_.Close();
        SweepOrphans(path_, took_over_);
        break;
      }
    }
    return Status::Ok();
  }

 private:
  Step Fail(const char* operation, int error) {
    status_ = ErrnoStatus(operation, path_, error);
    return Step::kFailed;
  }

  // Examines the lock file, and removes it if it is stale.
  Step Examine() {
    if (!examined_.Open(path_)) {
      if (errno == ENOENT) return Step::kAbsent;
      if (errno == EACCES || errno == EPERM) return ExamineForeign(errno);
      return Fail("open", errno);
    }
    struct stat info;
    if (fstat(examined_.get(), &info) != 0) return Fail("fstat", errno);
    if (!S_ISREG(info.st_mode)) return Fail("open", EINVAL);
    const KernelLock kernel = LockInKernel(examined_.get());
    if (kernel == KernelLock::kHeld) {
      LockObservations::Shared().Forget(path_);
      return Step::kHeld;
    }
    struct stat named;
    if (lstat(path_.c_str(), &named) != 0 || !IsSame(info, named)) return Step::kRetry;
    if (!IsStale(path_, examined_.get(), info, kernel)) return Step::kHeld;
    return TakeAway(info);
  }

  Step ExamineForeign(int error) {
    struct stat info;
    if (lstat(path_.c_str(), &info) != 0) {
      return errno == ENOENT ? Step::kRetry : Fail("lstat", errno);
    }
    if (S_ISDIR(info.st_mode)) return Fail("open", EISDIR);
    if (AgeOf(path_, info).longest <= kForeignAge) return Step::kHeld;
    // We may not open the file, but may delete it if the directory is ours. Another waiter may have
    // replaced it meanwhile.
    struct stat now;
    if (lstat(path_.c_str(), &now) != 0 || !IsSame(now, info)) return Step::kRetry;
    return unlink(path_.c_str()) == 0 || errno == ENOENT ? Step::kRetry : Fail("open", error);
  }

  // Removes a stale lock file. We still hold its kernel locks, so other processes that examine it
  // find it held.
  Step TakeAway(const struct stat& examined) {
    const std::string moved_path = TempName(path_, kStaleSuffix);
    if (rename(path_.c_str(), moved_path.c_str()) != 0) {
      return errno == ENOENT ? Step::kRetry : Fail("rename", errno);
    }
    struct stat moved;
    const bool is_examined = lstat(moved_path.c_str(), &moved) == 0 && IsSame(moved, examined);
    // If another process replaced the file meanwhile, give that file its name back, unless the name
    // is taken again. By rename if the file system has no hard links.
    if (!is_examined && link(moved_path.c_str(), path_.c_str()) != 0 && errno != EEXIST &&
        lstat(path_.c_str(), &moved) != 0 && errno == ENOENT) {
      rename(moved_path.c_str(), path_.c_str());
    }
    unlink(moved_path.c_str());
    if (!is_examined) return Step::kRetry;
    took_over_ = true;
    return Step::kAbsent;
  }

  // Creates the lock file. kRetry: another process was faster.
  Step Create(std::unique_ptr<FileLock>* lock) {
    const std::string private_path = TempName(path_, "");
    UniqueFd fd(
        open(private_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) return errno == EEXIST ? Step::kRetry : Fail("open", errno);
    const auto give_up = [&](Step step) {
      unlink(private_path.c_str());
      return step;
    };
    // Another process may be examining it in SweepOrphans.
    if (LockInKernel(fd.get()) == KernelLock::kHeld) return give_up(Step::kRetry);
    if (!WriteMarker(fd.get())) return give_up(Fail("write", errno));
    if (link(private_path.c_str(), path_.c_str()) == 0) {
      *lock = std::make_unique<PosixFileLock>(path_, private_path, std::move(fd), took_over_);
      return Step::kAcquired;
    }
    if (errno == EEXIST || errno == ENOENT) return give_up(Step::kRetry);
    // The file system has no hard links.
    unlink(private_path.c_str());
    return CreateInPlace(lock);
  }

  // Creates the lock file under its own name, where other processes can see it before it is locked.
  Step CreateInPlace(std::unique_ptr<FileLock>* lock) {
    UniqueFd fd(open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) return errno == EEXIST ? Step::kRetry : Fail("open", errno);
    struct stat info;
    struct stat named;
    if (LockInKernel(fd.get()) == KernelLock::kHeld || fstat(fd.get(), &info) != 0 ||
        lstat(path_.c_str(), &named) != 0 || !IsSame(info, named)) {
      return Step::kRetry;
    }
    if (!WriteMarker(fd.get())) {
      const int error = errno;
      unlink(path_.c_str());
      return Fail("write", error);
    }
    *lock = std::make_unique<PosixFileLock>(path_, "", std::move(fd), took_over_);
    return Step::kAcquired;
  }

  static bool WriteMarker(int fd) {
    const std::string text = OwnLockText(static_cast<uint32_t>(getpid()));
    const ssize_t written = pwrite(fd, text.data(), text.size(), 0);
    if (written >= 0 && static_cast<size_t>(written) != text.size()) errno = ENOSPC;
    return written == static_cast<ssize_t>(text.size());
  }

  const std::string& path_;
  ExaminedFile examined_;
  bool took_over_ = false;
  Status status_;
};

}  // namespace

Status FileLock::TryAcquire(const std::string& path, std::unique_ptr<FileLock>* lock) {
  return Acquisition(path).Run(lock);
}

}  // namespace stc
