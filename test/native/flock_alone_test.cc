// Tests the lock file with flock as the only kernel lock, as on macOS: compiles file_lock_posix.cc
// without F_OFD_SETLK. On macOS, flock and fcntl locks also exclude each other, which this system
// cannot show.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>

namespace {
constexpr int kOpenFileLock = F_OFD_GETLK;
}
#undef F_OFD_SETLK
#include "io/file_lock_posix.cc"  // NOLINT: for the line above
#include "tap.h"

namespace {

using stc::FileLock;
using stc::Status;
using stc::UniqueFd;

std::string NewPath() {
  static int number = 0;
  return "./flock-alone-" + std::to_string(getpid()) + "-" + std::to_string(++number) + ".lockfile";
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::unique_ptr<FileLock> Take(const std::string& path) {
  std::unique_ptr<FileLock> lock;
  const Status status = FileLock::TryAcquire(path, &lock);
  EXPECT_WITH(status.ok(), status.message());
  return lock;
}

pid_t Fork(const std::function<int()>& child) {
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) _exit(child());
  return pid;
}

int ExitCodeOf(pid_t pid) {
  int state = 0;
  EXPECT(waitpid(pid, &state, 0) == pid);
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

TEST(OneKernelLock, "flock is held, and no other kernel lock") {
  const std::string path = NewPath();
  const auto lock = Take(path);
  EXPECT(lock != nullptr);
  const UniqueFd other(open(path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT(flock(other.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK);
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  EXPECT(fcntl(other.get(), kOpenFileLock, &whole) == 0 && whole.l_type == F_UNLCK);
}

TEST(Excludes, "exclusive creation, flock and this package's lock are all refused") {
  const std::string path = NewPath();
  auto lock = Take(path);
  EXPECT(lock != nullptr && lock->Check());
  EXPECT(Take(path) == nullptr);
  EXPECT(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) == -1 && errno == EEXIST);
  EXPECT(ExitCodeOf(Fork([&] { return Take(path) == nullptr ? 0 : 1; })) == 0);
  lock.reset();
  EXPECT(!Exists(path));
  EXPECT(ExitCodeOf(Fork([&] { return Take(path) != nullptr ? 0 : 1; })) == 0);
  EXPECT(!Exists(path));
}

TEST(Respects, "a file that another program has locked by flock or just created is not taken") {
  const std::string path = NewPath();
  {
    const UniqueFd peer(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    EXPECT(Take(path) == nullptr);
    EXPECT(flock(peer.get(), LOCK_EX | LOCK_NB) == 0);
    EXPECT(Take(path) == nullptr);
  }
  unlink(path.c_str());
  EXPECT(Take(path) != nullptr);
}

TEST(PutBack,
     "a lock file that another program deleted is restored, but not if a new one has taken its "
     "place") {
  const std::string path = NewPath();
  const auto lock = Take(path);
  unlink(path.c_str());
  EXPECT(lock->Check() && Exists(path) && Take(path) == nullptr);
  unlink(path.c_str());
  const UniqueFd peer(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  EXPECT(!lock->Check());
  unlink(path.c_str());
}

TEST(Killed, "the lock of a killed process is taken over at once") {
  const std::string path = NewPath();
  int ends[2];
  EXPECT(pipe(ends) == 0);
  const pid_t holder = Fork([&] {
    const auto lock = Take(path);
    const char done = lock == nullptr ? '0' : '1';
    if (write(ends[1], &done, 1) == 1) pause();
    return 1;
  });
  char done = 0;
  EXPECT(read(ends[0], &done, 1) == 1 && done == '1');
  EXPECT(Take(path) == nullptr);
  kill(holder, SIGKILL);
  EXPECT(ExitCodeOf(holder) == -1);
  EXPECT(Exists(path));
  const auto lock = Take(path);
  EXPECT(lock != nullptr && lock->took_over());
  close(ends[0]);
  close(ends[1]);
}

// Increments the number in a file. Returns the new number, or -1.
int CountUp(const std::string& file) {
  const UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  int number = 0;
  if (pread(fd.get(), &number, sizeof number, 0) < 0) return -1;
  ++number;
  return pwrite(fd.get(), &number, sizeof number, 0) == sizeof number ? number : -1;
}

TEST(Contention, "of four processes, one holds the lock at a time") {
  constexpr int kProcesses = 4;
  constexpr int kTurns = 250;
  const std::string path = NewPath();
  const std::string file = path + ".count";
  pid_t children[kProcesses];
  for (pid_t& child : children) {
    child = Fork([&] {
      for (int turn = 0; turn < kTurns;) {
        const auto lock = Take(path);
        if (lock == nullptr) {
          usleep(200);
        } else if (++turn; CountUp(file) < 0) {
          return 1;
        }
      }
      return 0;
    });
  }
  for (const pid_t child : children) EXPECT(ExitCodeOf(child) == 0);
  const int number = CountUp(file) - 1;
  EXPECT_WITH(number == kProcesses * kTurns, std::to_string(number));
  EXPECT(!Exists(path));
  unlink(file.c_str());
}

}  // namespace

int main() { return tap::RunAll(); }
