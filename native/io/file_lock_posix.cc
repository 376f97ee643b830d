// The lock file on Linux and macOS.
//
// A lock is an inode that carries every mark a peer looks for before it gets the name that the peer
// looks at: a private file is created, locked with flock and (Linux) an OFD lock, filled, and then
// linked to the lock's path. Whoever creates exclusively finds the name taken, whoever uses flock
// finds it flocked, whoever uses fcntl (Java) meets the OFD lock, and there is no moment in
// between. On macOS flock and fcntl locks meet each other, so flock is enough there.
//
// Peers: MSAL extensions for .NET (flock, unlink), Python (O_EXCL, then flock), Go (flock), Java
// (O_EXCL, then fcntl), Node (O_EXCL alone). What they leave behind is judged by CheckStale.

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
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/errno_status.h"
#include "base/no_destructor.h"
#include "io/file_lock.h"
#include "io/file_times.h"
#include "io/temp_name.h"
#include "io/unique_fd.h"

namespace stc {

namespace {

// What follows the process id in a lock file of ours. Whoever wrote it holds flock as long as it
// lives: found without one, its holder is dead.
constexpr char kMarker[] = " msal-shared\n";

// Of the name under which a lock file that was left behind is taken away.
constexpr char kGraveSuffix[] = ".x";

// Ages at which a lock file that nobody holds in the kernel is taken for left behind, seconds.
// An empty file: its writer may be between creating and writing or locking it.
constexpr double kEmptyAge = 2;
// The writer is dead: time for its last steps to be seen. The longer one where its process may
// live where we do not see it.
constexpr double kDeadAge = 0.25;
constexpr double kDeadElsewhereAge = 5;
// The writer lives, and may hold the lock by the file's existence. No peer holds longer than it
// takes to write a file, but Node's forgets the file while it goes on living.
constexpr double kLivingAge = 60;
// The writer lives and holds by kernel locks, so that it does not hold now: it may be between
// unlocking and deleting, which it does by name.
constexpr double kReleasedAge = 0.25;
// A file of another user in the user's directory, which cannot be looked into.
constexpr double kForeignAge = 30;

using Clock = std::chrono::steady_clock;

// Between looks for what the dead left beside a lock file.
constexpr std::chrono::seconds kSweepInterval{60};

bool IsSame(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

double Seconds(int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

// kUnknown: the file system has no such locks (Lustre unless it was mounted with them, NFS 3
// without its daemon), so that a holder does not show.
enum class KernelLock { kOurs, kHeld, kUnknown };

// Takes both kernel locks on the whole file; on macOS flock alone.
KernelLock LockInKernel(int fd) {
  bool is_ours = flock(fd, LOCK_EX | LOCK_NB) == 0;
  if (!is_ours && errno == EWOULDBLOCK) return KernelLock::kHeld;
// Apple's headers have them, too. There all kinds of lock are of one list, and this one would say
// nothing that flock has not said.
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

// A lock file of somebody's that is locked for as long as it is looked at. Closing it would not
// be enough to unlock it: another thread may be starting a program, and until that is executed,
// the child has the same file open.
class JudgedFile {
 public:
  JudgedFile() = default;
  JudgedFile(const JudgedFile&) = delete;
  JudgedFile& operator=(const JudgedFile&) = delete;
  ~JudgedFile() { Close(); }

  // False, and errno, if that cannot be done.
  bool Open(const std::string& path) {
    Close();
    // O_NONBLOCK: a FIFO would wait.
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

// ---- How long a lock file has been as it is ----

// Lock files that were found in the way, and since when they are as they are. Wall clocks can be
// set and time stamps be written at will; what this process has seen with its own clock counts
// besides.
class Observations {
 public:
  // Seconds since this state was seen for the first time.
  double SecondsSince(const std::string& path, const struct stat& info) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Clock::time_point now = Clock::now();
    State& state = states_[path];
    const State seen = {info.st_dev, info.st_ino, Nanoseconds(ModifiedAt(info)), now};
    if (state.device != seen.device || state.inode != seen.inode ||
        state.modified != seen.modified) {
      state = seen;
    }
    return std::chrono::duration<double>(now - state.since).count();
  }

  void Forget(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    states_.erase(path);
  }

 private:
  struct State {
    dev_t device = 0;
    ino_t inode = 0;
    int64_t modified = 0;
    Clock::time_point since;
  };

  std::mutex mutex_;
  std::unordered_map<std::string, State> states_;
};

Observations& TheObservations() { return NoDestructor<Observations>(); }

struct Age {
  // By the greatest of all clocks, seconds.
  double any = 0;
  // By this process's own.
  double observed = 0;
};

Age AgeOf(const std::string& path, const struct stat& info) {
  const int64_t now = WallClockNanoseconds();
  Age age;
  age.observed = TheObservations().SecondsSince(path, info);
  age.any = std::max({age.observed, Seconds(now - Nanoseconds(ModifiedAt(info))),
                      // That one can nobody write.
                      Seconds(now - Nanoseconds(ChangedAt(info)))});
  return age;
}

// ---- Whether a lock file's writer lives ----

// When a zombie was started: it does nothing any more, though its number still is taken.
constexpr double kNeverAgain = std::numeric_limits<double>::infinity();

#if defined(__linux__)

// When the machine was started, Unix seconds; 0 if that cannot be told. Asked for anew each time:
// it moves with the wall clock.
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

// When a process was started, Unix seconds; 0 if that cannot be told, kNeverAgain if it ended and
// its parent has not asked how.
double StartOf(pid_t pid) {
  // Fields 3 and 22 of its stat: state, and ticks since the machine was started. Source: proc(5).
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
  // The name, field 2, is in parentheses and may hold anything.
  const char* field = std::strrchr(text, ')');
  if (field != nullptr && std::strncmp(field, ") Z", 3) == 0) return kNeverAgain;
  for (int number = 2; field != nullptr && number < 22; ++number) {
    field = std::strchr(field + 1, ' ');
  }
  return field == nullptr ? 0 : boot + std::strtod(field, nullptr) / ticks_per_second;
}

// Whether processes that we cannot see may use this directory: those of another machine, or of
// another pid namespace.
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
    // The first namespace's number is fixed. Source: linux/proc_ns.h, PROC_PID_INIT_INO.
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
  if (info.kp_proc.p_stat == SZOMB) return kNeverAgain;
  const timeval& start = info.kp_proc.p_starttime;
  return static_cast<double>(start.tv_sec) + static_cast<double>(start.tv_usec) / 1e6;
}

bool MayBeShared(int /*fd*/) { return false; }

#endif

enum class Writer { kUnknown, kDead, kLiving };

// `info`: of the lock file that names `pid`.
Writer StateOf(pid_t pid, const struct stat& info) {
  if (pid <= 0) return Writer::kUnknown;
  if (kill(pid, 0) != 0 && errno == ESRCH) return Writer::kDead;
  // A process that began after the file was last touched is another one with the same number.
  return StartOf(pid) > Seconds(Nanoseconds(ChangedAt(info))) + 1 ? Writer::kDead : Writer::kLiving;
}

// The number that `text` begins with; 0 if it is none, or none that a process has.
pid_t ReadPid(std::string_view text) {
  int64_t pid = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    pid = pid * 10 + (c - '0');
    if (pid > 0x7FFFFFFF) return 0;
  }
  return static_cast<pid_t>(pid);
}

// Whether a lock file that nobody is seen to hold in the kernel was left behind. `fd` is open on
// it, with our kernel locks as `kernel` says.
bool IsStale(const std::string& path, int fd, const struct stat& info, KernelLock kernel) {
  char buffer[128];
  const ssize_t size = pread(fd, buffer, sizeof buffer, 0);
  std::string_view text(buffer, size > 0 ? static_cast<size_t>(size) : 0);
  const Age age = AgeOf(path, info);
  if (text.find_first_not_of(std::string_view(" \t\r\n\0", 5)) == std::string_view::npos) {
    return age.any > kEmptyAge;
  }
  // .NET begins with a byte order mark, Go with a brace.
  const bool is_dotnet = text.substr(0, 3) == "\xEF\xBB\xBF";
  const bool is_dotnet_or_go = is_dotnet || text.front() == '{';
  const pid_t pid = ReadPid(is_dotnet_or_go ? text.substr(is_dotnet ? 3 : 1) : text);
  const bool is_own = pid > 0 && text == std::to_string(pid) + kMarker;
  // All three hold kernel locks. Where there are none, existence has to be their lock, too.
  const bool is_released = kernel == KernelLock::kOurs && (is_own || is_dotnet_or_go);
  if (is_released && is_own) return true;
  const Writer writer = StateOf(pid, info);
  if (is_released) return writer == Writer::kDead || age.observed > kReleasedAge;
  switch (writer) {
    case Writer::kDead:
      // File systems without kernel locks are those of many machines.
      return age.any >
             (kernel == KernelLock::kUnknown || MayBeShared(fd) ? kDeadElsewhereAge : kDeadAge);
    case Writer::kLiving:
    case Writer::kUnknown:
      break;
  }
  // Ours deletes its file as long as it lives.
  return !is_own && age.any > kLivingAge;
}

// ---- The lock ----

struct Sweeps {
  std::mutex mutex;
  std::unordered_map<std::string, Clock::time_point> swept;
};

// Deletes private files whose makers died between creating and deleting them: at the first lock
// of this path, from time to time, and when a dead one's lock was taken over. Holding the lock is
// not needed for it: who lives has its private file locked, or is named in it.
void SweepOrphans(const std::string& path, bool took_over) {
  {
    auto& sweeps = NoDestructor<Sweeps>();
    const std::lock_guard<std::mutex> guard(sweeps.mutex);
    const Clock::time_point now = Clock::now();
    const auto [entry, is_new] = sweeps.swept.try_emplace(path, now);
    if (!is_new && !took_over && now - entry->second < kSweepInterval) return;
    entry->second = now;
  }
  for (const char* suffix : {"", kGraveSuffix}) {
    ForEachTemp(path, suffix, [](const std::string& orphan) {
      JudgedFile fd;
      if (!fd.Open(orphan)) return;
      const KernelLock kernel = LockInKernel(fd.get());
      struct stat info;
      if (kernel == KernelLock::kOurs ||
          (kernel == KernelLock::kUnknown && fstat(fd.get(), &info) == 0 &&
           IsStale(orphan, fd.get(), info, kernel))) {
        unlink(orphan.c_str());
      }
      TheObservations().Forget(orphan);
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

  // One more name of the same inode.
  PosixFileLock(std::string path, const PosixFileLock& first)
      : path_(std::move(path)),
        private_path_(first.private_path_),
        is_extension_(true),
        fd_(first.fd_),
        took_over_(false),
        identity_(first.identity_) {}

  ~PosixFileLock() override {
    struct stat now;
    // First, so that no peer finds it free while it still is there.
    if (lstat(path_.c_str(), &now) == 0 && IsSame(now, identity_)) unlink(path_.c_str());
    if (is_extension_) return;
    fd_->Close();
    if (!private_path_.empty()) unlink(private_path_.c_str());
  }

  // A third of the work on the file system is making and freeing an inode: 20 KB are written in
  // 0.6 instead of 0.7 ms.
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
  // The inode's other name, from which it is linked again; empty where links are not possible.
  const std::string private_path_;
  // Whether the private name and the kernel locks are another's to free.
  const bool is_extension_ = false;
  const std::shared_ptr<UniqueFd> fd_;
  const bool took_over_;
  struct stat identity_ = {};
};

enum class Step { kAgain, kHeld, kLocked, kFailed };

class Acquisition {
 public:
  explicit Acquisition(const std::string& path) : path_(path) {}

  Status Run(std::unique_ptr<FileLock>* lock) {
    // Each turn answers a change that somebody made in between. With so many, somebody is holding
    // it most of the time.
    for (int turn = 0; turn < 8; ++turn) {
      Step step = Examine();
      if (step == Step::kLocked) step = Create(lock);
      if (step == Step::kFailed) return status_;
      if (step == Step::kHeld) break;
      if (*lock != nullptr) {
        TheObservations().Forget(path_);
        // It may be the other name of an orphan, which would seem to be locked by somebody.
        judged_.Close();
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

  // Looks at the lock file. kLocked: there is none, or no longer.
  Step Examine() {
    if (!judged_.Open(path_)) {
      if (errno == ENOENT) return Step::kLocked;
      if (errno == EACCES || errno == EPERM) return ExamineForeign(errno);
      return Fail("open", errno);
    }
    struct stat info;
    if (fstat(judged_.get(), &info) != 0) return Fail("fstat", errno);
    if (!S_ISREG(info.st_mode)) return Fail("open", EINVAL);
    const KernelLock kernel = LockInKernel(judged_.get());
    if (kernel == KernelLock::kHeld) {
      TheObservations().Forget(path_);
      return Step::kHeld;
    }
    struct stat named;
    if (lstat(path_.c_str(), &named) != 0 || !IsSame(info, named)) return Step::kAgain;
    if (!IsStale(path_, judged_.get(), info, kernel)) return Step::kHeld;
    return TakeAway(info);
  }

  Step ExamineForeign(int error) {
    struct stat info;
    if (lstat(path_.c_str(), &info) != 0) {
      return errno == ENOENT ? Step::kAgain : Fail("lstat", errno);
    }
    if (S_ISDIR(info.st_mode)) return Fail("open", EISDIR);
    if (AgeOf(path_, info).any <= kForeignAge) return Step::kHeld;
    // It is not ours to open, but the directory is. Another waiter may have been faster.
    struct stat now;
    if (lstat(path_.c_str(), &now) != 0 || !IsSame(now, info)) return Step::kAgain;
    return unlink(path_.c_str()) == 0 || errno == ENOENT ? Step::kAgain : Fail("open", error);
  }

  // Removes a lock file that was left behind, still under its kernel locks: those who judge it at
  // the same time find it held.
  Step TakeAway(const struct stat& judged) {
    const std::string grave = TempName(path_, kGraveSuffix);
    if (rename(path_.c_str(), grave.c_str()) != 0) {
      return errno == ENOENT ? Step::kAgain : Fail("rename", errno);
    }
    struct stat moved;
    const bool is_judged = lstat(grave.c_str(), &moved) == 0 && IsSame(moved, judged);
    // Another's was put there meanwhile, and gets its name back, unless that is taken again. Some
    // file systems have no hard links.
    if (!is_judged && link(grave.c_str(), path_.c_str()) != 0 && errno != EEXIST &&
        lstat(path_.c_str(), &moved) != 0 && errno == ENOENT) {
      rename(grave.c_str(), path_.c_str());
    }
    unlink(grave.c_str());
    if (!is_judged) return Step::kAgain;
    took_over_ = true;
    return Step::kLocked;
  }

  // Makes the lock file. kAgain: done, or somebody else was faster.
  Step Create(std::unique_ptr<FileLock>* lock) {
    const std::string private_path = TempName(path_, "");
    UniqueFd fd(
        open(private_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) return errno == EEXIST ? Step::kAgain : Fail("open", errno);
    const auto give_up = [&](Step step) {
      unlink(private_path.c_str());
      return step;
    };
    // Somebody who sweeps may be looking at it.
    if (LockInKernel(fd.get()) == KernelLock::kHeld) return give_up(Step::kAgain);
    if (!WriteMarker(fd.get())) return give_up(Fail("write", errno));
    if (link(private_path.c_str(), path_.c_str()) == 0) {
      *lock = std::make_unique<PosixFileLock>(path_, private_path, std::move(fd), took_over_);
      return Step::kAgain;
    }
    if (errno == EEXIST || errno == ENOENT) return give_up(Step::kAgain);
    // Some file systems have no hard links.
    unlink(private_path.c_str());
    return CreateInPlace(lock);
  }

  Step CreateInPlace(std::unique_ptr<FileLock>* lock) {
    UniqueFd fd(open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) return errno == EEXIST ? Step::kAgain : Fail("open", errno);
    struct stat info;
    struct stat named;
    if (LockInKernel(fd.get()) == KernelLock::kHeld || fstat(fd.get(), &info) != 0 ||
        lstat(path_.c_str(), &named) != 0 || !IsSame(info, named)) {
      return Step::kAgain;
    }
    if (!WriteMarker(fd.get())) {
      const int error = errno;
      unlink(path_.c_str());
      return Fail("write", error);
    }
    *lock = std::make_unique<PosixFileLock>(path_, "", std::move(fd), took_over_);
    return Step::kAgain;
  }

  static bool WriteMarker(int fd) {
    const std::string text = std::to_string(getpid()) + kMarker;
    const ssize_t written = pwrite(fd, text.data(), text.size(), 0);
    if (written >= 0 && static_cast<size_t>(written) != text.size()) errno = ENOSPC;
    return written == static_cast<ssize_t>(text.size());
  }

  const std::string& path_;
  JudgedFile judged_;
  bool took_over_ = false;
  Status status_;
};

}  // namespace

Status FileLock::TryAcquire(const std::string& path, std::unique_ptr<FileLock>* lock) {
  return Acquisition(path).Run(lock);
}

}  // namespace stc
