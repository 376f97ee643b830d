// Tests the lock file on Windows against itself and against the libraries that share the cache. For
// each library, the test makes the same calls with the same access, share mode and disposition.
//
// Without arguments, the program runs the tests and prints TAP. With arguments, it is a child
// process of a test.

#include <array>
#include <atomic>
#include <memory>
#include <thread>

#include "io/file_lock.h"
#include "tap.h"
#include "windows_fixture.h"

using fixture::Child;
using fixture::Directory;
using fixture::Exists;
using fixture::Leave;
using fixture::List;
using fixture::Open;
using fixture::Read;
using stc::FileLock;
using stc::Status;
using stc::StatusCode;
using stc::UniqueHandle;

namespace {

// Extra time for a busy machine, in seconds.
constexpr double kSlack = 3;

double NowSec() { return static_cast<double>(GetTickCount64()) / 1000; }

std::unique_ptr<FileLock> TryLock(const std::string& path) {
  std::unique_ptr<FileLock> lock;
  const Status status = FileLock::TryAcquire(path, &lock);
  EXPECT_WITH(status.ok(), status.message());
  return lock;
}

bool IsFree(const std::string& path) { return TryLock(path) != nullptr; }

// Tries until it gets the lock. Returns null after `for_sec`.
std::unique_ptr<FileLock> LockWithin(const std::string& path, double for_sec) {
  const double end = NowSec() + for_sec;
  do {
    std::unique_ptr<FileLock> lock = TryLock(path);
    if (lock != nullptr) return lock;
    Sleep(5);
  } while (NowSec() < end);
  return nullptr;
}

Status FailureOf(const std::string& path) {
  std::unique_ptr<FileLock> lock;
  const Status status = FileLock::TryAcquire(path, &lock);
  EXPECT(lock == nullptr);
  return status;
}

// ---- Other libraries, each opening its lock file in its own way ----

class Holder {
 public:
  virtual ~Holder() = default;
  // Returns 0, or the Windows error if the lock is held.
  virtual DWORD Take(const std::string& path) = 0;
  virtual void Release(const std::string& path) = 0;

 protected:
  std::string Pid() const { return std::to_string(GetCurrentProcessId()); }
  UniqueHandle file_;
};

// Source: CrossPlatformLock of msal-node-extensions, open with "wx+"; libuv's fs__open sets the
// access and share mode. Deletes the file before closing it.
class NodeHolder : public Holder {
 public:
  DWORD Take(const std::string& path) override {
    file_ = Open(path, FILE_GENERIC_READ | FILE_GENERIC_WRITE, stc::kShareAll, CREATE_NEW);
    if (!file_.is_open()) return GetLastError();
    fixture::WriteText(file_.get(), Pid());
    return 0;
  }
  void Release(const std::string& path) override {
    DeleteFileW(fixture::Wide(path).c_str());
    file_.Close();
  }
};

// Source: CrossPlatLock of MSAL.NET's extensions, a FileStream with FileMode.OpenOrCreate,
// FileAccess.ReadWrite, FileShare.Read and FileOptions.DeleteOnClose.
class DotnetHolder : public Holder {
 public:
  DWORD Take(const std::string& path) override {
    file_ = Open(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ, OPEN_ALWAYS,
                 FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE);
    if (!file_.is_open()) return GetLastError();
    fixture::WriteText(file_.get(), "\xEF\xBB\xBF" + Pid() + " dotnet\r\n");
    return 0;
  }
  void Release(const std::string& /*path*/) override { file_.Close(); }
};

// Locks a byte range of a file that any process may open.
class RangeHolder : public Holder {
 public:
  RangeHolder(std::string before, std::string after, DWORD range)
      : before_(std::move(before)), after_(std::move(after)), range_(range) {}
  DWORD Take(const std::string& path) override {
    file_ =
        Open(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, OPEN_ALWAYS);
    OVERLAPPED from = {};
    if (!file_.is_open() ||
        !LockFileEx(file_.get(), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, range_, 0,
                    &from)) {
      return GetLastError();
    }
    fixture::WriteText(file_.get(), before_ + Pid() + after_);
    return 0;
  }
  void Release(const std::string& path) override {
    file_.Close();
    DeleteFileW(fixture::Wide(path).c_str());
  }

 private:
  const std::string before_;
  const std::string after_;
  const DWORD range_;
};

// Source: the file lock of msal_extensions without portalocker: creates the file exclusively and
// closes the handle at once.
class PythonFileHolder : public Holder {
 public:
  DWORD Take(const std::string& path) override {
    file_ =
        Open(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, CREATE_NEW);
    if (!file_.is_open()) return GetLastError();
    fixture::WriteText(file_.get(), Pid() + " python.exe");
    file_.Close();
    return 0;
  }
  void Release(const std::string& path) override { DeleteFileW(fixture::Wide(path).c_str()); }
};

// This package.
class OwnHolder : public Holder {
 public:
  DWORD Take(const std::string& path) override {
    const Status status = FileLock::TryAcquire(path, &lock_);
    if (!status.ok()) return static_cast<DWORD>(status.os_code());
    return lock_ == nullptr ? ERROR_BUSY : 0;
  }
  void Release(const std::string& /*path*/) override { lock_.reset(); }

 private:
  std::unique_ptr<FileLock> lock_;
};

const char* const kPeers[] = {"node", "dotnet", "go", "portalocker", "java", "python-file"};

std::unique_ptr<Holder> HolderOf(const std::string& kind) {
  if (kind == "ours") return std::make_unique<OwnHolder>();
  if (kind == "node") return std::make_unique<NodeHolder>();
  if (kind == "dotnet") return std::make_unique<DotnetHolder>();
  // Source: cache/internal of microsoft-authentication-extensions-for-go: the first byte.
  if (kind == "go") return std::make_unique<RangeHolder>("{", "} go.exe", 1);
  // Source: portalocker for Windows: 2^31 - 1 bytes.
  if (kind == "portalocker") return std::make_unique<RangeHolder>("", " python.exe", 0x7FFFFFFF);
  // Source: CrossProcessCacheFileLock of msal4j-persistence-extension: FileChannel.tryLock().
  if (kind == "java") return std::make_unique<RangeHolder>("", " host", MAXDWORD);
  return std::make_unique<PythonFileHolder>();
}

// A child process that tried to take the lock file, and its answer.
struct HoldingChild {
  HoldingChild(const std::string& kind, const std::string& path)
      : child({"hold", kind, path}), answer(child.Line()) {}
  Child child;
  std::string answer;
};

// Returns the ID of a process that has ended.
DWORD DeadPid() {
  Child child({"nothing"});
  const DWORD pid = child.pid();
  child.Finish();
  return pid;
}

void ExpectTaken(const std::string& path, double within_sec, double not_before_sec = 0) {
  const double start = NowSec();
  const std::unique_ptr<FileLock> lock = LockWithin(path, within_sec + kSlack);
  const double took = NowSec() - start;
  EXPECT_WITH(lock != nullptr, path);
  EXPECT_WITH(took >= not_before_sec, std::to_string(took) + " s");
  if (lock == nullptr) return;
  EXPECT(lock->took_over());
  EXPECT(lock->Check());
}

void ExpectTakenAtOnce(const std::string& path) {
  const std::unique_ptr<FileLock> lock = TryLock(path);
  EXPECT_WITH(lock != nullptr, path);
  EXPECT(lock == nullptr || (lock->took_over() && lock->Check()));
}

void ExpectHeld(const std::string& path, double for_sec) {
  const std::string before = Read(path);
  EXPECT(LockWithin(path, for_sec) == nullptr);
  EXPECT(Exists(path) && Read(path) == before);
}

}  // namespace

// ---- One holder ----

TEST(OneHolder, "one holder at a time, within one process and across two") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  std::unique_ptr<FileLock> lock = TryLock(path);
  EXPECT(lock != nullptr && lock->Check() && !lock->took_over());
  EXPECT(!IsFree(path));
  EXPECT(HoldingChild("ours", path).answer == "refused " + std::to_string(ERROR_BUSY));
  EXPECT(Read(path) == std::to_string(GetCurrentProcessId()) + " msal-shared\n");
  lock.reset();
  EXPECT(!Exists(path));
  HoldingChild other("ours", path);
  EXPECT_WITH(other.answer == "held", other.answer);
  EXPECT(!IsFree(path));
  EXPECT(other.child.Finish() == 0);
  EXPECT(!Exists(path));
  EXPECT(IsFree(path));
  EXPECT(List(directory.path()).empty());
}

TEST(KilledHolder, "killing the holder releases the lock at once and deletes its file") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  for (int round = 0; round < 10; ++round) {
    HoldingChild holder("ours", path);
    EXPECT(holder.answer == "held" && !IsFree(path));
    holder.child.Kill();
    EXPECT(!Exists(path));
    const std::unique_ptr<FileLock> lock = TryLock(path);
    EXPECT(lock != nullptr && !lock->took_over());
  }
}

TEST(NotInherited, "a child does not inherit the lock") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  std::unique_ptr<FileLock> lock = TryLock(path);
  Child heir({"wait"});
  EXPECT(heir.Line() == "waiting");
  lock.reset();
  EXPECT(!Exists(path));
  EXPECT(IsFree(path));
  EXPECT(heir.Finish() == 0);
}

TEST(NobodyDeletes, "while it is held, other programs cannot delete, rename or write the file") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  const std::unique_ptr<FileLock> lock = TryLock(path);
  const std::wstring wide = fixture::Wide(path);
  EXPECT(!DeleteFileW(wide.c_str()) && GetLastError() == ERROR_SHARING_VIOLATION);
  EXPECT(!MoveFileExW(wide.c_str(), (wide + L"2").c_str(), 0));
  Leave(directory.At("b"), "x");
  EXPECT(!MoveFileExW(fixture::Wide(directory.At("b")).c_str(), wide.c_str(),
                      MOVEFILE_REPLACE_EXISTING));
  EXPECT(!Open(path, GENERIC_WRITE, stc::kShareAll, OPEN_EXISTING).is_open());
  EXPECT(!Open(path, GENERIC_WRITE, stc::kShareAll, CREATE_ALWAYS).is_open());
  EXPECT(!Open(path, DELETE, stc::kShareAll, OPEN_EXISTING).is_open());
  EXPECT(lock->Check());
  // A reader, such as a virus scanner, neither keeps the file alive nor deletes it.
  UniqueHandle reader = Open(path, GENERIC_READ, stc::kShareAll, OPEN_EXISTING);
  EXPECT(reader.is_open());
  reader.Close();
  EXPECT(lock->Check() && Exists(path));
}

TEST(ReadableText,
     "W2: while it is held, others can read its text, and lock no range that reaches further") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  const auto lock = TryLock(path);
  EXPECT(lock != nullptr);
  const UniqueHandle reader = Open(path, GENERIC_READ, stc::kShareAll, OPEN_EXISTING);
  EXPECT(reader.is_open());
  const auto locks = [&](DWORD range) {
    OVERLAPPED from = {};
    return LockFileEx(reader.get(), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, range,
                      0, &from) != 0;
  };
  // Wine lets a process read a locked range, Windows does not. Both refuse to lock it twice.
  EXPECT(!locks(MAXLONG));
  EXPECT(!locks(MAXDWORD));
  EXPECT(locks(128));
  EXPECT(Read(path).find(std::to_string(GetCurrentProcessId())) == 0);
}

TEST(LeaseTakenAway, "W1: a lease can be renamed away from its holder, which notices") {
  const Directory directory;
  const std::string path = directory.At("a.lease");
  std::unique_ptr<FileLock> held;
  EXPECT(FileLock::TryAcquire(path, &held, stc::LockUse::kOwn).ok() && held != nullptr);
  EXPECT(held->Check());
  EXPECT(MoveFileW(fixture::Wide(path).c_str(), fixture::Wide(path + ".gone").c_str()) != 0);
  EXPECT(!held->Check());
  std::unique_ptr<FileLock> next;
  EXPECT(FileLock::TryAcquire(path, &next, stc::LockUse::kOwn).ok() && next != nullptr);
  held.reset();
  EXPECT(next->Check());
  next.reset();
  EXPECT(IsFree(path));
}

TEST(Reader, "a reader that keeps the file open after the release does not let two holders in") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  std::unique_ptr<FileLock> lock = TryLock(path);
  UniqueHandle reader = Open(path, GENERIC_READ, stc::kShareAll, OPEN_EXISTING);
  lock.reset();
  // Windows keeps the name until the reader closes the file; Wine may not.
  std::unique_ptr<FileLock> next = LockWithin(path, 0.1);
  EXPECT(next == nullptr || !IsFree(path));
  next.reset();
  reader.Close();
  EXPECT(LockWithin(path, kSlack) != nullptr);
  EXPECT(!Exists(path));
}

TEST(Touch, "touching sets the time stamp to now") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  const std::unique_ptr<FileLock> lock = TryLock(path);
  const UniqueHandle stamp = Open(path, FILE_WRITE_ATTRIBUTES, stc::kShareAll, OPEN_EXISTING);
  const FILETIME old = stc::FromTicks(stc::WallClockTicks() - 3600 * stc::kTicksPerSecond);
  EXPECT(SetFileTime(stamp.get(), nullptr, nullptr, &old));
  EXPECT(stc::WallClockTicks() - fixture::ModifiedAt(path) > 3000 * stc::kTicksPerSecond);
  EXPECT(lock->Touch().ok());
  EXPECT(stc::WallClockTicks() - fixture::ModifiedAt(path) < 10 * stc::kTicksPerSecond);
}

TEST(PathLeadsElsewhere, "a lock is lost when its path leads to another file") {
  const Directory directory;
  const std::wstring one = fixture::Wide(directory.At("one"));
  EXPECT(CreateDirectoryW(one.c_str(), nullptr));
  const std::string path = directory.At("one\\a.lockfile");
  const std::unique_ptr<FileLock> lock = TryLock(path);
  EXPECT(lock != nullptr && lock->Check());
  if (lock == nullptr) return;
  if (!MoveFileExW(one.c_str(), fixture::Wide(directory.At("other")).c_str(), 0)) {
    // Windows forbids the rename, Wine allows it.
    EXPECT(lock->Check());
    return;
  }
  EXPECT(!lock->Check());
  EXPECT(CreateDirectoryW(one.c_str(), nullptr));
  EXPECT(!lock->Check());
  Leave(path, "1 somebody else");
  EXPECT(!lock->Check());
}

// ---- Against other libraries ----

TEST(OthersAreKeptOut, "while we hold the lock, every other library is refused") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  std::unique_ptr<FileLock> lock = TryLock(path);
  for (const char* const kind : kPeers) {
    const std::string answer = HoldingChild(kind, path).answer;
    const bool creates = kind == std::string("node") || kind == std::string("python-file");
    EXPECT_WITH(answer == (creates ? "refused 80" : "refused 32"), kind + (": " + answer));
    EXPECT(lock->Check());
  }
  lock.reset();
  for (const char* const kind : kPeers) {
    HoldingChild peer(kind, path);
    EXPECT_WITH(peer.answer == "held", kind + (": " + peer.answer));
    EXPECT(peer.child.Finish() == 0);
    EXPECT_WITH(!Exists(path), kind);
  }
}

TEST(OthersKeepOut, "a lock that another library holds is not taken until it is released") {
  const Directory directory;
  const auto path_of = [&](const std::string& kind) { return directory.At(kind + ".lockfile"); };
  std::vector<HoldingChild> peers;
  std::vector<std::string> texts;
  for (const char* const kind : kPeers) {
    peers.emplace_back(kind, path_of(kind));
    EXPECT_WITH(peers.back().answer == "held", kind + (": " + peers.back().answer));
    texts.push_back(Read(path_of(kind)));
  }
  for (const double end = NowSec() + 1; NowSec() < end; Sleep(10)) {
    for (const char* const kind : kPeers) EXPECT_WITH(!IsFree(path_of(kind)), kind);
  }
  for (size_t index = 0; index < peers.size(); ++index) {
    const std::string path = path_of(kPeers[index]);
    EXPECT_WITH(Exists(path) && Read(path) == texts[index], path);
    EXPECT(peers[index].child.Finish() == 0);
    EXPECT_WITH(!Exists(path), path);
    const std::unique_ptr<FileLock> lock = TryLock(path);
    EXPECT_WITH(lock != nullptr && !lock->took_over(), path);
  }
}

TEST(OldFilesOfHolders, "an old file is not stale while a process has it open") {
  const Directory directory;
  for (const char* const kind : {"node", "dotnet", "go", "portalocker", "java", "ours"}) {
    const std::string path = directory.At(std::string(kind) + ".lockfile");
    HoldingChild peer(kind, path);
    UniqueHandle stamp = Open(path, FILE_WRITE_ATTRIBUTES, stc::kShareAll, OPEN_EXISTING);
    const FILETIME old = stc::FromTicks(stc::WallClockTicks() - 3600 * stc::kTicksPerSecond);
    EXPECT_WITH(SetFileTime(stamp.get(), nullptr, nullptr, &old), kind);
    EXPECT_WITH(!IsFree(path), kind);
    stamp.Close();
    peer.child.Kill();
    // A file that is marked for deletion is gone by now.
    const bool is_deleted_on_close = kind == std::string("dotnet") || kind == std::string("ours");
    EXPECT_WITH(Exists(path) == !is_deleted_on_close, kind);
  }
}

TEST(OthersDie, "the lock of another library that was killed is taken over within its time limit") {
  const Directory directory;
  for (const char* const kind : kPeers) {
    const std::string path = directory.At(std::string(kind) + ".lockfile");
    HoldingChild peer(kind, path);
    EXPECT_WITH(peer.answer == "held" && !IsFree(path), kind);
    peer.child.Kill();
    if (kind == std::string("dotnet")) {
      EXPECT(!Exists(path) && IsFree(path));
    } else {
      EXPECT_WITH(Exists(path), kind);
      ExpectTaken(path, 0.25);
    }
    EXPECT_WITH(!Exists(path), kind);
  }
}

TEST(PythonReleases, "a library without a file lock can delete its file while we inspect it") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  std::atomic<bool> is_over{false};
  std::atomic<bool> is_looking{false};
  std::atomic<int> looks{0};
  std::thread looker([&] {
    while (!is_over) {
      if (!is_looking) {
        std::this_thread::yield();
        continue;
      }
      std::unique_ptr<FileLock> lock;
      FileLock::TryAcquire(path, &lock);
      ++looks;
    }
  });
  for (int round = 0; round < 200; ++round) {
    PythonFileHolder holder;
    // The looker may hold the lock for one more round after the file is deleted.
    while (holder.Take(path) != 0) std::this_thread::yield();
    const int before = looks;
    is_looking = true;
    while (looks < before + 2) std::this_thread::yield();
    const bool is_deleted = DeleteFileW(fixture::Wide(path).c_str()) != 0;
    EXPECT(is_deleted);
    is_looking = false;
    if (!is_deleted) break;
  }
  is_over = true;
  looker.join();
}

// ---- Left-over files ----

TEST(DeadWriter, "the file of a dead process is taken over") {
  const Directory directory;
  const std::string pid = std::to_string(DeadPid());
  for (const std::string& text : {pid, pid + " python.exe", pid + " host"}) {
    const std::string path = directory.At("a.lockfile");
    Leave(path, text, 10);
    ExpectTakenAtOnce(path);
    Leave(path, text);
    ExpectTaken(path, 0.25);
  }
  for (const std::string& text :
       {pid + " msal-shared\n", "\xEF\xBB\xBF" + pid + " dotnet\r\n", "{" + pid + "} go.exe"}) {
    const std::string path = directory.At("b.lockfile");
    Leave(path, text);
    ExpectTakenAtOnce(path);
  }
  EXPECT(List(directory.path()).empty());
}

TEST(LivingWriter, "the file of a living process is taken over only when it is too old") {
  const Directory directory;
  Child living({"wait"});
  EXPECT(living.Line() == "waiting");
  const std::string pid = std::to_string(living.pid());
  const std::string path = directory.At("a.lockfile");
  for (const std::string& text : {pid, pid + " python.exe"}) {
    Leave(path, text, 50);
    ExpectHeld(path, 0.5);
    Leave(path, text, 61);
    ExpectTakenAtOnce(path);
  }
  // These libraries hold the lock by an open handle. Without a handle, the writer no longer holds
  // it, but may be about to delete the file by name.
  for (const std::string& text : {"\xEF\xBB\xBF" + pid + " dotnet\r\n", "{" + pid + "} go.exe"}) {
    Leave(path, text, 50);
    ExpectTaken(path, 0.25, 0.2);
  }
  // This package's file without a handle: left after a power loss.
  Leave(path, pid + " msal-shared\n");
  ExpectTakenAtOnce(path);
  EXPECT(living.Finish() == 0);
}

TEST(PureWriter, "the pure JS lock has no open handle: it is judged by its process") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  Leave(path, std::to_string(GetCurrentProcessId()) + " msal-shared-js\n");
  ExpectHeld(path, 0.5);
  Leave(path, std::to_string(DeadPid()) + " msal-shared-js\n");
  ExpectTaken(path, 0.25);
}

TEST(ReusedPid, "a process that reuses the ID of a dead holder is not taken for the holder") {
  const Directory directory;
  // A test cannot choose a process ID, so create a lock file for each ID that the next process may
  // get.
  constexpr DWORD kLast = 2048;
  const auto path_of = [&](DWORD pid) { return directory.At(std::to_string(pid)); };
  for (DWORD pid = 4; pid <= kLast; pid += 4) Leave(path_of(pid), std::to_string(pid));
  Sleep(1500);
  Child living({"wait"});
  EXPECT(living.Line() == "waiting");
  const std::string path = path_of(living.pid());
  EXPECT_WITH(living.pid() <= kLast, std::to_string(living.pid()));
  ExpectTakenAtOnce(path);
  // A file that was written after the process started belongs to it.
  Leave(path, std::to_string(living.pid()), 10);
  ExpectHeld(path, 0.5);
  // Process IDs are multiples of 4. OpenProcess rounds other numbers down to one.
  Leave(path, std::to_string(living.pid() + 1), 10);
  ExpectTakenAtOnce(path);
  EXPECT(living.Finish() == 0);
}

TEST(EndedProcess, "a process that has ended is dead although a handle to it is still open") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  Child child({"nothing"});
  const UniqueHandle handle(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, child.pid()));
  const DWORD pid = child.pid();
  child.Finish();
  EXPECT(handle.is_open());
  Leave(path, std::to_string(pid), 10);
  ExpectTakenAtOnce(path);
}

TEST(Empty, "an empty file is taken over after a delay") {
  const Directory directory;
  for (const std::string& text : {std::string(), std::string(4, '\0'), std::string(" \r\n")}) {
    const std::string path = directory.At("a.lockfile");
    Leave(path, text, 3);
    ExpectTakenAtOnce(path);
    Leave(path, text);
    ExpectHeld(path, 0.1);
    DeleteFileW(fixture::Wide(path).c_str());
  }
  const std::string path = directory.At("b.lockfile");
  Leave(path, "");
  ExpectTaken(path, 2, 1);
}

TEST(Unknown, "a file with unknown content is taken over when it is too old") {
  const Directory directory;
  const std::string huge(40, '9');
  for (const std::string& text :
       {std::string("locked by me"), std::string("pid=12"), std::string("-1"), std::string("0"),
        huge, huge + " msal-shared\n", std::string("0 msal-shared\n"), std::string("4294967296"),
        std::string(10'000, 'x'), std::string("\0\x01\xFF", 3)}) {
    const std::string path = directory.At("a.lockfile");
    Leave(path, text, 50);
    ExpectHeld(path, 0.1);
    Leave(path, text, 61);
    ExpectTakenAtOnce(path);
  }
}

TEST(Future, "a file with a time stamp in the future") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  constexpr double kDay = 24 * 60 * 60;
  Leave(path, std::to_string(DeadPid()), -kDay);
  ExpectTaken(path, 0.25);
  Leave(path, "", -kDay);
  ExpectTaken(path, 2, 1);
  Leave(path, std::to_string(GetCurrentProcessId()), -kDay);
  ExpectHeld(path, 0.5);
}

TEST(ReadOnly, "a read-only file that was left behind is not taken") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  Leave(path, std::to_string(GetCurrentProcessId()), 10);
  SetFileAttributesW(fixture::Wide(path).c_str(), FILE_ATTRIBUTE_READONLY);
  ExpectHeld(path, 0.1);
  SetFileAttributesW(fixture::Wide(path).c_str(), FILE_ATTRIBUTE_NORMAL);
  EXPECT(DeleteFileW(fixture::Wide(path).c_str()));
  EXPECT(IsFree(path));
}

TEST(DeletePending, "a file that is being deleted is waited for") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  Leave(path, std::to_string(GetCurrentProcessId()));
  UniqueHandle deleter = Open(path, DELETE, stc::kShareAll, OPEN_EXISTING);
  FILE_DISPOSITION_INFO deletion = {};
  deletion.DeleteFile = TRUE;
  EXPECT(
      SetFileInformationByHandle(deleter.get(), FileDispositionInfo, &deletion, sizeof deletion));
  EXPECT(LockWithin(path, 0.2) == nullptr);
  deleter.Close();
  EXPECT(!Exists(path));
  const std::unique_ptr<FileLock> lock = TryLock(path);
  EXPECT(lock != nullptr && !lock->took_over());
}

// The first try may fail for all: without POSIX-style deletion, the name stays until all threads
// have closed the file.
TEST(ManyJudges,
     "many threads take over one stale file at the same time: each gets the lock in turn") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  const std::string pid = std::to_string(DeadPid());
  for (int round = 0; round < 50; ++round) {
    Leave(path, pid, 10);
    std::atomic<int> ready{0};
    std::atomic<int> holding{0};
    std::array<std::string, 8> faults;
    std::vector<std::thread> threads;
    for (std::string& fault : faults) {
      threads.emplace_back([&] {
        ++ready;
        while (ready < static_cast<int>(faults.size())) std::this_thread::yield();
        std::unique_ptr<FileLock> lock;
        Status status;
        const double end = NowSec() + kSlack;
        while ((status = FileLock::TryAcquire(path, &lock)).ok() && lock == nullptr &&
               NowSec() < end) {
          Sleep(1);
        }
        if (lock == nullptr) {
          fault = status.ok() ? "never got it" : status.message();
          return;
        }
        if (++holding != 1) fault = "is not alone";
        if (!lock->Check()) fault = "lost it";
        std::this_thread::yield();
        --holding;
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& fault : faults) EXPECT_WITH(fault.empty(), fault);
    EXPECT(List(directory.path()).empty());
  }
}

// ---- Paths ----

TEST(Failures, "paths that cannot be locked") {
  const Directory directory;
  Status status = FailureOf(directory.At("missing\\a.lockfile"));
  EXPECT(status.code() == StatusCode::kIo && status.os_code() == ERROR_PATH_NOT_FOUND);
  EXPECT(status.domain() == "win32" && status.operation() == "CreateFileW");
  EXPECT_WITH(status.message().find("Its directory is missing") != std::string::npos,
              status.message());
  EXPECT_WITH(status.message().find('\n') == std::string::npos, status.message());

  CreateDirectoryW(fixture::Wide(directory.At("folder")).c_str(), nullptr);
  status = FailureOf(directory.At("folder"));
  EXPECT_WITH(status.code() == StatusCode::kIo && status.os_code() == 336, status.message());
  EXPECT(Exists(directory.At("folder")));

  for (const std::string& path : {std::string(), directory.At(std::string("a\0b", 3)),
                                  directory.At("\xFF\xFE"), directory.At("a<b>|")}) {
    status = FailureOf(path);
    EXPECT_WITH(status.code() == StatusCode::kIo && status.domain() == "win32", status.message());
  }
  Leave(directory.At("file"), "x");
  status = FailureOf(directory.At("file\\a.lockfile"));
  EXPECT_WITH(status.code() == StatusCode::kIo, status.message());
}

TEST(WidePaths, "paths become absolute, with the prefix that lifts the limit of 260 characters") {
  EXPECT(fixture::Wide("C:/a/./b/../\xC3\xA4.lockfile") == L"\\\\?\\C:\\a\\\u00E4.lockfile");
  EXPECT(fixture::Wide("\\\\server\\share\\a") == L"\\\\?\\UNC\\server\\share\\a");
  EXPECT(fixture::Wide("\\\\?\\C:\\a\\..\\b") == L"\\\\?\\C:\\a\\..\\b");
  EXPECT(fixture::Wide("\\\\.\\pipe\\a") == L"\\\\.\\pipe\\a");
  EXPECT(fixture::Wide("NUL") == L"\\\\.\\NUL");
  // The prefix with forward slashes.
  EXPECT(fixture::Wide("//?/C:/x/y") == L"\\\\?\\C:\\x\\y");
  EXPECT(fixture::Wide("\\/?/C:/x/y") == L"\\\\?\\C:\\x\\y");
  EXPECT(fixture::Wide("//?/UNC/server/share/a") == L"\\\\?\\UNC\\server\\share\\a");
  EXPECT(fixture::Wide("//server/share/a") == L"\\\\?\\UNC\\server\\share\\a");
  wchar_t current[MAX_PATH];
  EXPECT(GetCurrentDirectoryW(MAX_PATH, current) > 0);
  EXPECT(fixture::Wide("name") == L"\\\\?\\" + std::wstring(current) + L"\\name");
}

TEST(Paths, "long paths, non-ASCII names and forward slashes") {
  const Directory directory;
  // UTF-8 characters of 2, 3 and 4 bytes.
  const std::string foreign = directory.At("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x94\x92.lockfile");
  std::unique_ptr<FileLock> lock = TryLock(foreign);
  EXPECT(lock != nullptr && lock->Check());
  EXPECT(HoldingChild("ours", foreign).answer == "refused " + std::to_string(ERROR_BUSY));
  EXPECT(List(directory.path()).size() == 1 && Exists(foreign));
  lock.reset();
  EXPECT(!Exists(foreign));

  std::string deep = directory.path();
  for (int level = 0; level < 8; ++level) {
    deep += "\\" + std::string(60, 'd');
    EXPECT(CreateDirectoryW(fixture::Wide(deep).c_str(), nullptr));
  }
  deep += "\\a.lockfile";
  EXPECT(deep.size() > 500);
  lock = TryLock(deep);
  EXPECT(lock != nullptr && lock->Check());
  EXPECT(!IsFree(deep));
  EXPECT(HoldingChild("ours", deep).answer == "refused " + std::to_string(ERROR_BUSY));
  lock.reset();
  EXPECT(IsFree(deep) && !Exists(deep));

  const std::string path = directory.At("a.lockfile");
  lock = TryLock(path);
  std::string slashes = path;
  for (char& c : slashes) {
    if (c == '\\') c = '/';
  }
  EXPECT(!IsFree(slashes));
  EXPECT(!IsFree(directory.At(".\\folder\\..\\a.lockfile")));
  EXPECT(!IsFree("\\\\?\\" + path));
  EXPECT(!IsFree("//?/" + slashes));
  EXPECT(!IsFree(directory.At("A.LockFile")));
}

// ---- Contention ----

TEST(Contention, "competing processes and threads lose no update") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  const std::string counter = directory.At("counter");
  Leave(counter, "0");
  std::vector<Child> children;
  for (int index = 0; index < 3; ++index) {
    children.push_back(Child({"count", path, counter, "100"}));
  }
  for (Child& child : children) {
    const std::string answer = child.Line();
    EXPECT_WITH(answer == "counted", answer);
    EXPECT(child.Finish() == 0);
  }
  EXPECT_WITH(Read(counter) == "600", Read(counter));
  EXPECT(List(directory.path()).size() == 1);
}

TEST(KilledAtAnyMoment, "processes killed at any moment leave no lasting lock") {
  const Directory directory;
  const std::string path = directory.At("a.lockfile");
  const std::string counter = directory.At("counter");
  Leave(counter, "0");
  for (int round = 0; round < 10; ++round) {
    std::vector<Child> children;
    for (int index = 0; index < 3; ++index) {
      children.push_back(Child({"count", path, counter, "1000000"}));
    }
    Sleep(static_cast<DWORD>(50 + round * 6));
    for (Child& child : children) child.Kill();
    EXPECT(IsFree(path));
    EXPECT(List(directory.path()).size() == 1);
  }
  EXPECT_WITH(Read(counter) != "0", "none came to hold it");
}

// ---- Child processes ----

namespace {

// In each of two threads, increments the number in a file `times` times, under the lock.
int Count(const std::string& path, const std::string& counter, int times) {
  std::atomic<bool> is_fine{true};
  const auto count = [&] {
    for (int turn = 0; turn < times && is_fine; ++turn) {
      std::unique_ptr<FileLock> lock;
      while (lock == nullptr && is_fine) {
        if (!FileLock::TryAcquire(path, &lock).ok()) is_fine = false;
        if (lock == nullptr) Sleep(1);
      }
      if (!is_fine) return;
      const UniqueHandle file =
          Open(counter, GENERIC_READ | GENERIC_WRITE, stc::kShareAll, OPEN_EXISTING);
      char text[32] = {};
      DWORD size = 0;
      ReadFile(file.get(), text, sizeof text - 1, &size, nullptr);
      SetFilePointer(file.get(), 0, nullptr, FILE_BEGIN);
      fixture::WriteText(file.get(), std::to_string(std::atoi(text) + 1));
      if (!lock->Check()) is_fine = false;
    }
  };
  std::thread other(count);
  count();
  other.join();
  fixture::Say(is_fine ? "counted" : "failed");
  fixture::WaitForParent();
  return is_fine ? 0 : 1;
}

int Hold(const std::string& kind, const std::string& path) {
  const std::unique_ptr<Holder> holder = HolderOf(kind);
  const DWORD error = holder->Take(path);
  fixture::Say(error == 0 ? "held" : "refused " + std::to_string(error));
  fixture::WaitForParent();
  if (error == 0) holder->Release(path);
  return 0;
}

int RunAsChild(const std::vector<std::string>& arguments) {
  const std::string& what = arguments[0];
  if (what == "hold" && arguments.size() == 3) return Hold(arguments[1], arguments[2]);
  if (what == "count" && arguments.size() == 4) {
    return Count(arguments[1], arguments[2], std::atoi(arguments[3].c_str()));
  }
  if (what == "wait") {
    fixture::Say("waiting");
    fixture::WaitForParent();
    return 0;
  }
  return what == "nothing" ? 0 : 2;
}

}  // namespace

int wmain(int count, wchar_t** values) {
  const std::vector<std::string> arguments = fixture::Arguments(count, values);
  return arguments.empty() ? tap::RunAll() : RunAsChild(arguments);
}
