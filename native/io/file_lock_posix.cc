// The lock file on Linux and macOS.
//
// A lock is taken by creating a private file, locking it with flock and (on Linux) an OFD lock,
// writing it, and then linking it to the lock's path. So the file is locked in every way before it
// has the name that other libraries look at: a library that creates exclusively finds the name
// taken, one that uses flock finds the file locked, and one that uses fcntl conflicts with the OFD
// lock. On macOS flock and fcntl locks conflict with each other, so flock is enough there.
//
// Other libraries: MSAL extensions for .NET (flock, unlink), Python (O_EXCL, then flock), Java
// (O_EXCL, then fcntl) and Node (O_EXCL alone), MSAL for Go (flock). IsLeftBehind decides
// about a lock file that nobody holds.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#if defined(__linux__)
#include <dirent.h>
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
#include "io/system_calls_posix.h"
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
  bool is_ours = sys::Flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (!is_ours && errno == EWOULDBLOCK) return KernelLock::kHeld;
// Not on macOS, whose headers define it: flock and OFD locks conflict with each other there, so
// this one would add nothing.
#if defined(F_OFD_SETLK) && !defined(__APPLE__)
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (sys::Fcntl(fd, F_OFD_SETLK, &whole) == 0) {
    is_ours = true;
  } else if (errno == EAGAIN || errno == EACCES) {
    return KernelLock::kHeld;
  }
#endif
  return is_ours ? KernelLock::kOurs : KernelLock::kUnknown;
}

void UnlockInKernel(int fd) {
  sys::Flock(fd, LOCK_UN);
#if defined(F_OFD_SETLK) && !defined(__APPLE__)
  struct flock whole = {};
  whole.l_type = F_UNLCK;
  whole.l_whence = SEEK_SET;
  sys::Fcntl(fd, F_OFD_SETLK, &whole);
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
    fd_ = UniqueFd(sys::Open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
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

// `now`: nanoseconds, by the clock of the file system or by ours.
LockAge AgeOf(const std::string& path, const struct stat& info, int64_t now) {
  const int64_t modified = Nanoseconds(ModifiedAt(info));
  LockAge age;
  age.observed = LockObservations::Shared().SecondsSince(
      path, {static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino), modified});
  // Programs cannot set this one.
  age.changed = Seconds(now - Nanoseconds(ChangedAt(info)));
  age.longest = std::max({age.observed, Seconds(now - modified), age.changed});
  return age;
}

// Returns the time by the clock that stamps the files beside `path`, nanoseconds. It may be the
// clock of a server, and ours may be wrong. If no file can be created there, returns our time.
int64_t FileSystemClock(const std::string& path) {
  const auto measure = [&]() -> int64_t {
    const std::string fresh_path = TempName(path, "");
    const UniqueFd fd(
        sys::Open(fresh_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    struct stat fresh;
    const bool is_known = fd.is_open() && sys::Fstat(fd.get(), &fresh) == 0;
    if (fd.is_open()) sys::Unlink(fresh_path);
    return is_known ? Nanoseconds(ModifiedAt(fresh)) - WallClockNanoseconds() : 0;
  };
  return WallClockNanoseconds() +
         ClockOffsets::Shared().For(path.substr(0, path.rfind('/') + 1), measure);
}

// ---- Whether the writer of a lock file lives ----

// How long a process has run, seconds. Negative if that is not known.
constexpr double kUnknownLifetime = -1;
// It no longer runs, but still has its process id.
constexpr double kEnded = -2;

#if defined(__linux__)

// Reads the number at the beginning of `text`. Not strtod, which follows the locale.
double Number(const char* text) {
  double number = 0;
  while (*text == ' ') ++text;
  for (; *text >= '0' && *text <= '9'; ++text) number = number * 10 + (*text - '0');
  return number;
}

double LifetimeOf(pid_t pid) {
  FILE* const file = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "re");
  if (file == nullptr) return kUnknownLifetime;
  char text[1024];
  const size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[size] = '\0';
  // Field 2, the name, is in parentheses and may contain any character. Fields 3 and 22 are the
  // state, and the start in ticks since the machine started. Source: proc(5).
  const char* field = std::strrchr(text, ')');
  if (field == nullptr) return kUnknownLifetime;
  if (std::strncmp(field, ") Z", 3) == 0 || std::strncmp(field, ") X", 3) == 0) return kEnded;
  for (int number = 2; field != nullptr && number < 22; ++number) {
    field = std::strchr(field + 1, ' ');
  }
  // The clock of those ticks. Unlike the wall clock, nobody can set it.
  timespec now = {};
  if (field == nullptr || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return kUnknownLifetime;
  static const double ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  return Seconds(Nanoseconds(now)) - Number(field) / ticks_per_second;
}

// Whether this machine runs processes in pid namespaces within ours: their ids mean nothing here.
bool HasInnerPidNamespaces() {
  DIR* const list = opendir("/proc");
  if (list == nullptr) return true;
  bool has_any = false;
  bool sees_first = false;
  while (const dirent* entry = readdir(list)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    FILE* const file =
        std::fopen((std::string("/proc/") + entry->d_name + "/status").c_str(), "re");
    // The process has ended, or the files of other users are hidden.
    if (file == nullptr) continue;
    if (std::strcmp(entry->d_name, "1") == 0) sees_first = true;
    char line[512];
    while (!has_any && std::fgets(line, sizeof line, file) != nullptr) {
      // A process has one id in each namespace that it is in. Source: proc(5).
      if (std::strncmp(line, "NSpid:\t", 7) == 0) {
        has_any = std::strchr(line + 7, '\t') != nullptr;
        break;
      }
    }
    std::fclose(file);
    if (has_any) break;
  }
  closedir(list);
  return has_any || !sees_first;
}

// The same, looked up once a second at most, because waiting processes ask again and again.
bool MayHaveInnerPidNamespaces() {
  struct Answer {
    std::mutex mutex;
    bool is_known = false;
    bool value = false;
    Clock::time_point at;
  };
  auto& answer = NoDestructor<Answer>();
  const std::lock_guard<std::mutex> guard(answer.mutex);
  const Clock::time_point now = Clock::now();
  if (!answer.is_known || now - answer.at > std::chrono::seconds(1)) {
    answer.value = HasInnerPidNamespaces();
    answer.is_known = true;
    answer.at = now;
  }
  return answer.value;
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
  return is_contained || MayHaveInnerPidNamespaces();
}

#elif defined(__APPLE__)

double LifetimeOf(pid_t pid) {
  int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, pid};
  kinfo_proc info = {};
  size_t size = sizeof info;
  if (sysctl(name, 4, &info, &size, nullptr, 0) != 0 || size == 0) return kUnknownLifetime;
  if (info.kp_proc.p_stat == SZOMB) return kEnded;
  const timeval& start = info.kp_proc.p_starttime;
  return Seconds(WallClockNanoseconds()) -
         (static_cast<double>(start.tv_sec) + static_cast<double>(start.tv_usec) / 1e6);
}

// Linux containers run in a virtual machine that mounts folders of this one.
bool MayBeShared(int /*fd*/) { return true; }

#endif

enum class Writer { kUnknown, kDead, kLiving };

// `age`: of the lock file that names `pid`. Compares ages, because the clock that stamps the file
// may be another one than that of the processes.
Writer WriterOf(pid_t pid, const LockAge& age) {
  if (pid <= 0) return Writer::kUnknown;
  if (kill(pid, 0) != 0 && errno == ESRCH) return Writer::kDead;
  const double lifetime = LifetimeOf(pid);
  if (lifetime == kEnded) return Writer::kDead;
  // A process that is younger than the last change of the file reuses the writer's id.
  return lifetime >= 0 && lifetime + 1 < age.changed ? Writer::kDead : Writer::kLiving;
}

// Whether a lock file was left behind, whatever its age. `kernel`: see LockInKernel.
bool IsLeftBehindAtOnce(const LockText& text, KernelLock kernel, LockUse use) {
  switch (text.library) {
    case LockLibrary::kNone:
    case LockLibrary::kOursInJs:
      return false;
    case LockLibrary::kOurs:
      // This addon holds kernel locks as long as it lives, and we have them now.
      return kernel == KernelLock::kOurs;
    case LockLibrary::kDotnetOrGo:
    case LockLibrary::kOther:
      break;
  }
  // Nobody else has a reason to create it.
  return use == LockUse::kOwn;
}

// Whether a lock file was left behind, by its age.
bool IsLeftBehind(const LockText& text, const LockAge& age, KernelLock kernel, int fd) {
  if (text.library == LockLibrary::kNone) return age.longest > kEmptyAge;
  const Writer writer = WriterOf(static_cast<pid_t>(text.pid), age);
  // These libraries hold kernel locks, and we have them now. Where the file system has none, the
  // existence of the file has to count as their lock, too.
  if (kernel == KernelLock::kOurs && text.library == LockLibrary::kDotnetOrGo) {
    return writer == Writer::kDead || age.observed > kReleasedAge;
  }
  if (writer == Writer::kDead) {
    // File systems without kernel locks are usually shared by several machines.
    const bool may_live_elsewhere = kernel == KernelLock::kUnknown || MayBeShared(fd);
    return age.longest > (may_live_elsewhere ? kDeadElsewhereAge : kDeadAge);
  }
  // A living process of this addon deletes its lock file, however old.
  return text.library != LockLibrary::kOurs && age.longest > kLivingAge;
}

// Sets `*is_stale` to whether a lock file was left behind. No kernel lock of its holder is visible.
// `fd` is open on it, with our kernel locks as `kernel` says. Returns false and sets errno if the
// file cannot be read, so that nobody knows.
bool Judge(const std::string& path, int fd, const struct stat& info, KernelLock kernel, LockUse use,
           bool* is_stale) {
  char buffer[kMaxLockText];
  const ssize_t size = sys::Pread(fd, buffer, sizeof buffer, 0);
  if (size < 0) return false;
  const LockText text = ParseLockText({buffer, static_cast<size_t>(size)}, kMaxPid);
  const auto judge = [&](int64_t now) {
    return IsLeftBehind(text, AgeOf(path, info, now), kernel, fd);
  };
  // Our clock may be wrong. Asks the file system only if it matters, because that costs a file.
  *is_stale = IsLeftBehindAtOnce(text, kernel, use) ||
              (judge(WallClockNanoseconds()) && judge(FileSystemClock(path)));
  return true;
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
      bool is_stale = false;
      if (kernel == KernelLock::kOurs ||
          (kernel == KernelLock::kUnknown && sys::Fstat(fd.get(), &info) == 0 &&
           Judge(orphan, fd.get(), info, kernel, LockUse::kShared, &is_stale) && is_stale)) {
        sys::Unlink(orphan);
      }
      LockObservations::Shared().Forget(orphan);
    });
  }
}

class PosixFileLock : public FileLock {
 public:
  // `identity`: the state of the file that `fd` is open on.
  PosixFileLock(std::string path, std::string private_path, UniqueFd fd,
                const struct stat& identity, bool took_over)
      : path_(std::move(path)),
        private_path_(std::move(private_path)),
        fd_(std::make_shared<UniqueFd>(std::move(fd))),
        took_over_(took_over),
        identity_(identity) {}

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
    if (sys::Lstat(path_, &now) == 0 && IsSame(now, identity_)) sys::Unlink(path_);
    if (is_extension_) return;
    fd_->Close();
    if (!private_path_.empty()) sys::Unlink(private_path_);
  }

  // Saves creating and freeing an inode, a third of the file system's work (measured: bench P9).
  std::unique_ptr<FileLock> TryExtend(const std::string& path) override {
    if (private_path_.empty() || sys::Link(private_path_, path) != 0) return nullptr;
    SweepOrphans(path, false);
    return std::make_unique<PosixFileLock>(path, *this);
  }

  bool IsAt(const std::string& path) const override {
    struct stat now;
    return sys::Lstat(path, &now) == 0 && IsSame(now, identity_);
  }

  bool Check() override {
    struct stat now;
    if (sys::Lstat(path_, &now) == 0) return IsSame(now, identity_);
    return errno == ENOENT && !private_path_.empty() && sys::Link(private_path_, path_) == 0;
  }

  Status Touch() override {
    if (sys::Futimens(fd_->get(), nullptr) != 0) return ErrnoStatus("futimens", path_, errno);
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
  const struct stat identity_;
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
  Acquisition(const std::string& path, LockUse use) : path_(path), use_(use) {}

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
      const int error = errno;
      if (error == EACCES || error == EPERM) return ExamineForeign(error);
      return ExamineSpecial(error);
    }
    struct stat info;
    if (sys::Fstat(examined_.get(), &info) != 0) return Fail("fstat", errno);
    if (!S_ISREG(info.st_mode)) return ExamineSpecial(EINVAL);
    const KernelLock kernel = LockInKernel(examined_.get());
    if (kernel == KernelLock::kHeld) {
      LockObservations::Shared().Forget(path_);
      return Step::kHeld;
    }
    struct stat named;
    if (sys::Lstat(path_, &named) != 0 || !IsSame(info, named)) return Step::kRetry;
    bool is_stale = false;
    if (!Judge(path_, examined_.get(), info, kernel, use_, &is_stale)) return Fail("read", errno);
    return is_stale ? TakeAway(info) : Step::kHeld;
  }

  // There is something else than a file, or a file that cannot be opened because of `error`.
  Step ExamineSpecial(int error) {
    struct stat info;
    // A link, a FIFO, a socket or a device, where nobody but this package creates anything.
    if (use_ == LockUse::kOwn && sys::Lstat(path_, &info) == 0 && !S_ISREG(info.st_mode) &&
        !S_ISDIR(info.st_mode)) {
      return TakeAway(info);
    }
    return Fail("open", error);
  }

  Step ExamineForeign(int error) {
    struct stat info;
    if (sys::Lstat(path_, &info) != 0) {
      return errno == ENOENT ? Step::kRetry : Fail("lstat", errno);
    }
    if (S_ISDIR(info.st_mode)) return Fail("open", EISDIR);
    if (AgeOf(path_, info, WallClockNanoseconds()).longest <= kForeignAge ||
        AgeOf(path_, info, FileSystemClock(path_)).longest <= kForeignAge) {
      return Step::kHeld;
    }
    // We may not open the file, but may delete it if the directory is ours. Another waiter may have
    // replaced it meanwhile.
    struct stat now;
    if (sys::Lstat(path_, &now) != 0 || !IsSame(now, info)) return Step::kRetry;
    return sys::Unlink(path_) == 0 || errno == ENOENT ? Step::kRetry : Fail("open", error);
  }

  // Removes a stale lock file. We still hold its kernel locks, so other processes that examine it
  // find it held.
  Step TakeAway(const struct stat& examined) {
    const std::string moved_path = TempName(path_, kStaleSuffix);
    if (sys::Rename(path_, moved_path) != 0) {
      return errno == ENOENT ? Step::kRetry : Fail("rename", errno);
    }
    struct stat moved;
    const bool is_examined = sys::Lstat(moved_path, &moved) == 0 && IsSame(moved, examined);
    // If another process replaced the file meanwhile, give that file its name back, unless the name
    // is taken again. By rename if the file system has no hard links.
    if (!is_examined && sys::Link(moved_path, path_) != 0 && errno != EEXIST &&
        sys::Lstat(path_, &moved) != 0 && errno == ENOENT) {
      sys::Rename(moved_path, path_);
    }
    sys::Unlink(moved_path);
    if (!is_examined) return Step::kRetry;
    took_over_ = true;
    return Step::kAbsent;
  }

  // Creates the lock file. kRetry: another process was faster.
  Step Create(std::unique_ptr<FileLock>* lock) {
    const std::string private_path = TempName(path_, "");
    UniqueFd fd(sys::Open(private_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) return errno == EEXIST ? Step::kRetry : Fail("open", errno);
    const auto give_up = [&](Step step) {
      sys::Unlink(private_path);
      return step;
    };
    // Another process may be examining it in SweepOrphans.
    if (LockInKernel(fd.get()) == KernelLock::kHeld) return give_up(Step::kRetry);
    if (!WriteMarker(fd.get())) return give_up(Fail("write", errno));
    struct stat identity;
    // Before the link: without it, nobody could tell later whether the lock file is still ours.
    if (sys::Fstat(fd.get(), &identity) != 0) return give_up(Fail("fstat", errno));
    if (sys::Link(private_path, path_) == 0) {
      *lock =
          std::make_unique<PosixFileLock>(path_, private_path, std::move(fd), identity, took_over_);
      return Step::kAcquired;
    }
    if (errno == EEXIST || errno == ENOENT) return give_up(Step::kRetry);
    // The file system has no hard links.
    sys::Unlink(private_path);
    return CreateInPlace(lock);
  }

  // Creates the lock file under its own name, where other processes can see it before it is locked.
  Step CreateInPlace(std::unique_ptr<FileLock>* lock) {
    UniqueFd fd(sys::Open(path_, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) return errno == EEXIST ? Step::kRetry : Fail("open", errno);
    struct stat info;
    if (sys::Fstat(fd.get(), &info) != 0) {
      // Deleted although it may be another file by now: an empty file of ours would stop everybody.
      const int error = errno;
      sys::Unlink(path_);
      return Fail("fstat", error);
    }
    // Deletes our file, unless another process has deleted it already.
    const auto give_up = [&](Step step) {
      struct stat now;
      if (sys::Lstat(path_, &now) == 0 && IsSame(info, now)) sys::Unlink(path_);
      return step;
    };
    // Another process, which found the file empty, is examining it.
    if (LockInKernel(fd.get()) == KernelLock::kHeld) return give_up(Step::kRetry);
    struct stat named;
    if (sys::Lstat(path_, &named) != 0 || !IsSame(info, named)) return Step::kRetry;
    if (!WriteMarker(fd.get())) return give_up(Fail("write", errno));
    *lock = std::make_unique<PosixFileLock>(path_, "", std::move(fd), info, took_over_);
    return Step::kAcquired;
  }

  static bool WriteMarker(int fd) {
    const std::string text = OwnLockText(static_cast<uint32_t>(getpid()));
    const ssize_t written = sys::Pwrite(fd, text.data(), text.size(), 0);
    if (written >= 0 && static_cast<size_t>(written) != text.size()) errno = ENOSPC;
    return written == static_cast<ssize_t>(text.size());
  }

  const std::string& path_;
  const LockUse use_;
  ExaminedFile examined_;
  bool took_over_ = false;
  Status status_;
};

}  // namespace

Status FileLock::TryAcquire(const std::string& path, std::unique_ptr<FileLock>* lock, LockUse use) {
  return Acquisition(path, use).Run(lock);
}

}  // namespace stc
