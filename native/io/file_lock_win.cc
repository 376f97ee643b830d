// The lock file on Windows.
//
// A lock is a file that was created exclusively, that is open for writing and shared with readers
// only, and that the system deletes when its one handle is closed, also by the holder's death. Who
// creates exclusively finds the name taken; who opens the file to write into it or to lock a part
// of it (.NET, Go, Java, portalocker) is refused; who deletes by name, holding it or not, is
// refused as well. All of that begins with one call, so there is no moment in between.
//
// The other way round: all peers have their lock file open for writing as long as they hold the
// lock, which an open that does not share writing finds out, except Python's file lock without
// portalocker, whose lock is the file's existence. What they leave behind is judged by IsStale.
//
// The new file's permissions are inherited from its directory, which in a user's profile admits
// that user, the system and administrators.

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/no_destructor.h"
#include "base/wide_path.h"
#include "base/win32_status.h"
#include "base/windows_api.h"
#include "io/file_lock.h"
#include "io/file_state_win.h"

namespace stc {

namespace {

// What follows the process id in a lock file of ours. Whoever wrote it has a handle as long as it
// lives, and without one the file is gone: found so, the machine was switched off meanwhile.
constexpr char kMarker[] = " msal-shared\n";

// Ages at which a lock file that nobody has open is taken for left behind, seconds.
// An empty file: its writer may be between creating and writing it.
constexpr double kEmptyAge = 2;
// The writer is dead: time for its last steps to be seen. The longer one where its process may
// live on another machine.
constexpr double kDeadAge = 0.25;
constexpr double kDeadElsewhereAge = 5;
// The writer lives, and may hold the lock by the file's existence. No peer holds longer than it
// takes to write a file.
constexpr double kLivingAge = 60;
// The writer lives and holds by a handle, so that it does not hold now: it may be between closing
// and deleting, which it does by name.
constexpr double kReleasedAge = 0.25;
// A file in the user's directory that the user may not open.
constexpr double kForeignAge = 30;

using Clock = std::chrono::steady_clock;

double Seconds(int64_t ticks) {
  return static_cast<double>(ticks) / static_cast<double>(kTicksPerSecond);
}

// ---- How long a lock file has been as it is ----

// Lock files that were found in the way, and since when they are as they are. Wall clocks can be
// set and time stamps be written at will; what this process has seen with its own clock counts
// besides.
class Observations {
 public:
  // Seconds since this state was seen for the first time.
  double SecondsSince(const std::wstring& path, const FileState& state) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Clock::time_point now = Clock::now();
    const auto [seen, is_new] = seen_.try_emplace(path, Seen{state, now});
    if (!is_new &&
        (!IsSameFile(seen->second.state, state) || seen->second.state.modified != state.modified)) {
      seen->second = {state, now};
    }
    return std::chrono::duration<double>(now - seen->second.since).count();
  }

  void Forget(const std::wstring& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    seen_.erase(path);
  }

 private:
  struct Seen {
    FileState state;
    Clock::time_point since;
  };

  std::mutex mutex_;
  std::unordered_map<std::wstring, Seen> seen_;
};

Observations& TheObservations() { return NoDestructor<Observations>(); }

struct Age {
  // By the greatest of all clocks, seconds.
  double any = 0;
  // By this process's own.
  double observed = 0;
};

Age AgeOf(const std::wstring& path, const FileState& state) {
  Age age;
  age.observed = TheObservations().SecondsSince(path, state);
  age.any = age.observed;
  const int64_t now = WallClockTicks();
  for (const int64_t stamp : {state.modified, state.changed}) {
    if (stamp > 0) age.any = std::max(age.any, Seconds(now - stamp));
  }
  return age;
}

// ---- Whether a lock file's writer lives ----

enum class Writer { kUnknown, kDead, kLiving };

// `state`: of the lock file that names `pid`.
Writer WriterOf(DWORD pid, const FileState& state) {
  if (pid == 0) return Writer::kUnknown;
  const UniqueHandle process(
      OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, pid));
  if (!process.is_open()) {
    return GetLastError() == ERROR_INVALID_PARAMETER ? Writer::kDead : Writer::kLiving;
  }
  // Numbers are multiples of 4, and the others are taken for the one below.
  if (GetProcessId(process.get()) != pid) return Writer::kDead;
  // It ended, and somebody still has a handle to it.
  if (WaitForSingleObject(process.get(), 0) == WAIT_OBJECT_0) return Writer::kDead;
  FILETIME start;
  FILETIME unused[3];
  if (!GetProcessTimes(process.get(), &start, &unused[0], &unused[1], &unused[2])) {
    return Writer::kLiving;
  }
  // A process that began after the file was last touched is another one with the same number.
  const int64_t touched = std::max(state.modified, state.changed);
  const bool is_another = touched > 0 && Ticks(start) > touched + kTicksPerSecond;
  return is_another ? Writer::kDead : Writer::kLiving;
}

// The number that `text` begins with; 0 if it is none, or none that a process has.
DWORD ReadPid(std::string_view text) {
  uint64_t pid = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    pid = pid * 10 + static_cast<uint64_t>(c - '0');
    if (pid > MAXDWORD) return 0;
  }
  return static_cast<DWORD>(pid);
}

// Whether processes of another machine may use this file.
bool MayBeShared(HANDLE file) {
  FILE_REMOTE_PROTOCOL_INFO info;
  return GetFileInformationByHandleEx(file, FileRemoteProtocolInfo, &info, sizeof info) != 0;
}

// Whether a lock file that nobody has open for writing was left behind. As long as we have it open,
// nobody opens it so.
bool IsStale(const std::wstring& path, HANDLE file, const FileState& state) {
  char buffer[128];
  DWORD size = 0;
  // Somebody has locked a part of it through a handle for reading.
  if (!ReadFile(file, buffer, sizeof buffer, &size, nullptr)) return false;
  const std::string_view text(buffer, size);
  const Age age = AgeOf(path, state);
  if (text.find_first_not_of(std::string_view(" \t\r\n\0", 5)) == std::string_view::npos) {
    return age.any > kEmptyAge;
  }
  const DWORD pid = ReadPid(text);
  if (pid > 0 && text == std::to_string(pid) + kMarker) return true;
  // .NET begins with a byte order mark, Go with a brace: both hold handles.
  const bool is_dotnet = text.substr(0, 3) == "\xEF\xBB\xBF";
  if (is_dotnet || text.front() == '{') {
    const Writer writer = WriterOf(ReadPid(text.substr(is_dotnet ? 3 : 1)), state);
    return writer == Writer::kDead || age.observed > kReleasedAge;
  }
  switch (WriterOf(pid, state)) {
    case Writer::kDead:
      return age.any > (MayBeShared(file) ? kDeadElsewhereAge : kDeadAge);
    case Writer::kLiving:
    case Writer::kUnknown:
      break;
  }
  return age.any > kLivingAge;
}

// ---- The lock ----

class WindowsFileLock : public FileLock {
 public:
  WindowsFileLock(std::string path, std::wstring wide_path, UniqueHandle file, bool took_over)
      : path_(std::move(path)),
        wide_path_(std::move(wide_path)),
        file_(std::move(file)),
        took_over_(took_over) {
    is_known_ = StateOf(file_.get(), &identity_);
  }

  // Closing deletes the file.
  ~WindowsFileLock() override = default;

  // Nobody can delete or rename what we have open and do not share. But the path may lead elsewhere
  // now, and what some file systems promise is not kept by all.
  bool Check() override {
    // Attributes can be read whatever is shared.
    const UniqueHandle named(CreateFileW(wide_path_.c_str(), FILE_READ_ATTRIBUTES, kShareAll,
                                         nullptr, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT,
                                         nullptr));
    FileState state;
    return is_known_ && named.is_open() && StateOf(named.get(), &state) &&
           IsSameFile(state, identity_);
  }

  Status Touch() override {
    const FILETIME now = FromTicks(WallClockTicks());
    if (!SetFileTime(file_.get(), nullptr, nullptr, &now)) {
      return Win32Status("SetFileTime", path_, GetLastError());
    }
    return Status::Ok();
  }

  bool took_over() const override { return took_over_; }

 private:
  const std::string path_;
  const std::wstring wide_path_;
  UniqueHandle file_;
  const bool took_over_;
  FileState identity_;
  bool is_known_ = false;
};

// Deletes the file that `file` is open on, which need not be what its path leads to any longer.
bool DeleteThrough(HANDLE file) {
  // DELETE | POSIX_SEMANTICS | IGNORE_READONLY_ATTRIBUTE: the name is free as soon as we close it,
  // though somebody else may have the file open. Source: FILE_DISPOSITION_INFORMATION_EX in ntddk.h
  // of the Windows SDK.
  DWORD flags = 0x1 | 0x2 | 0x10;
  if (SetFileInformationByHandle(file, kFileDispositionInfoEx, &flags, sizeof flags)) return true;
  // Not every file system knows that, or did from the beginning.
  FILE_DISPOSITION_INFO deletion = {};
  deletion.DeleteFile = TRUE;
  return SetFileInformationByHandle(file, FileDispositionInfo, &deletion, sizeof deletion) != 0;
}

enum class Step { kAgain, kTaken, kHeld, kLocked, kFailed };

class Acquisition {
 public:
  explicit Acquisition(const std::string& path) : path_(path) {}

  Status Run(std::unique_ptr<FileLock>* lock) {
    Status status = WidenPath(path_, &wide_path_);
    if (!status.ok()) return status;
    // Each turn answers a change that somebody made in between. With so many, somebody is holding
    // it most of the time.
    for (int turn = 0; turn < 8; ++turn) {
      Step step = Create(lock);
      // Taken though we have just deleted it: somebody was quicker, or the name stays until others
      // who judged the same file have closed it. To open it again would put that off.
      if (step == Step::kTaken) step = took_over_ ? Step::kHeld : Examine();
      if (step == Step::kFailed) return status_;
      if (step == Step::kHeld) break;
      if (step == Step::kLocked) {
        TheObservations().Forget(wide_path_);
        break;
      }
    }
    return Status::Ok();
  }

 private:
  Step Fail(const char* operation, DWORD error) {
    status_ = Win32Status(operation, path_, error);
    return Step::kFailed;
  }

  // Makes the lock file. kTaken: there is one, or one is just being deleted.
  Step Create(std::unique_ptr<FileLock>* lock) {
    UniqueHandle file(CreateFileW(
        wide_path_.c_str(), GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ, nullptr,
        CREATE_NEW,
        FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE | FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
    if (!file.is_open()) {
      create_error_ = GetLastError();
      switch (create_error_) {
        case ERROR_FILE_EXISTS:
        case ERROR_ALREADY_EXISTS:
        case ERROR_SHARING_VIOLATION:
        // It is being deleted, and somebody still has it open. Or we may not create any.
        case ERROR_ACCESS_DENIED:
        case ERROR_DELETE_PENDING:
          return Step::kTaken;
        default:
          return Fail("CreateFileW", create_error_);
      }
    }
    OVERLAPPED whole = {};
    if (!LockFileEx(file.get(), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, MAXDWORD,
                    MAXDWORD, &whole) &&
        GetLastError() == ERROR_LOCK_VIOLATION) {
      // A file system that does not keep to share modes. Others know no locks, so nobody has one.
      return Step::kHeld;
    }
    const std::string text = std::to_string(GetCurrentProcessId()) + kMarker;
    DWORD written = 0;
    if (!WriteFile(file.get(), text.data(), static_cast<DWORD>(text.size()), &written, nullptr)) {
      return Fail("WriteFile", GetLastError());
    }
    if (written != text.size()) return Fail("WriteFile", ERROR_DISK_FULL);
    *lock = std::make_unique<WindowsFileLock>(path_, wide_path_, std::move(file), took_over_);
    return Step::kLocked;
  }

  // Looks at the lock file. kAgain: there is none, or no longer.
  Step Examine() {
    // Not shared: writing, which whoever holds a lock by a handle does. Shared: deleting, because
    // whoever holds one by the file's existence may be about to.
    const UniqueHandle file(CreateFileW(wide_path_.c_str(), GENERIC_READ | DELETE,
                                        FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                        FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
    if (!file.is_open()) {
      const DWORD error = GetLastError();
      switch (error) {
        case ERROR_FILE_NOT_FOUND:
          return create_error_ == ERROR_ACCESS_DENIED ? ExamineDirectory() : Step::kAgain;
        case ERROR_SHARING_VIOLATION:
          TheObservations().Forget(wide_path_);
          return Step::kHeld;
        case ERROR_DELETE_PENDING:
          return Step::kHeld;
        case ERROR_ACCESS_DENIED:
          return ExamineForeign();
        default:
          return Fail("CreateFileW", error);
      }
    }
    FileState state;
    if (!StateOf(file.get(), &state)) {
      return FailUnlessGone("GetFileInformationByHandle", GetLastError(), nullptr);
    }
    // A symbolic link or the like, which nobody who locks makes.
    if ((state.attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
      return Fail("CreateFileW", ERROR_CANT_ACCESS_FILE);
    }
    if (!IsStale(wide_path_, file.get(), state)) return Step::kHeld;
    return Delete(file.get(), state);
  }

  // There is none, yet none may be created: because one was being deleted a moment ago, or because
  // we may not create any here.
  Step ExamineDirectory() {
    const std::wstring directory = wide_path_.substr(0, wide_path_.rfind(L'\\') + 1);
    const UniqueHandle handle(CreateFileW(directory.c_str(), FILE_ADD_FILE, kShareAll, nullptr,
                                          OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr));
    if (handle.is_open() || GetLastError() != ERROR_ACCESS_DENIED) return Step::kHeld;
    return Fail("CreateFileW", ERROR_ACCESS_DENIED);
  }

  // It may not be read: a directory, one that is being deleted, or another user's in a directory of
  // ours, which lets us delete it.
  Step ExamineForeign() {
    const UniqueHandle file(CreateFileW(wide_path_.c_str(), FILE_READ_ATTRIBUTES | DELETE,
                                        FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                        FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
    if (!file.is_open()) {
      const DWORD error = GetLastError();
      if (error == ERROR_FILE_NOT_FOUND) return Step::kAgain;
      return error == ERROR_ACCESS_DENIED ? ExamineClosed() : Step::kHeld;
    }
    FileState state;
    if (!StateOf(file.get(), &state)) {
      return FailUnlessGone("GetFileInformationByHandle", GetLastError(), nullptr);
    }
    if (AgeOf(wide_path_, state).any <= kForeignAge) return Step::kHeld;
    return Delete(file.get(), state);
  }

  Step ExamineClosed() {
    WIN32_FILE_ATTRIBUTE_DATA data;
    // Those of a file that is being deleted cannot be had.
    if (!GetFileAttributesExW(wide_path_.c_str(), GetFileExInfoStandard, &data)) return Step::kHeld;
    if ((data.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
      return Fail("CreateFileW", kDirectoryNotSupported);
    }
    FileState state;
    state.modified = Ticks(data.ftLastWriteTime);
    if (AgeOf(wide_path_, state).any <= kForeignAge) return Step::kHeld;
    return Fail("CreateFileW", ERROR_ACCESS_DENIED);
  }

  // `judged`: the state of the file that `file` is open on.
  Step Delete(HANDLE file, const FileState& judged) {
    if (!DeleteThrough(file)) {
      return FailUnlessGone("SetFileInformationByHandle", GetLastError(), &judged);
    }
    took_over_ = true;
    return Step::kAgain;
  }

  // After `operation` failed on a lock file that we have open. Two of us may judge one file that
  // was left behind: when the faster one has deleted it, the other's handle still is open, and
  // calls with it are refused as if access were denied. What the name leads to tells. Source:
  // Microsoft's Q113996 (NT status to Win32 error): STATUS_FILE_DELETED and STATUS_DELETE_PENDING
  // become ERROR_ACCESS_DENIED. `judged`: null if its state could not be had.
  Step FailUnlessGone(const char* operation, DWORD error, const FileState* judged) {
    const UniqueHandle named(CreateFileW(wide_path_.c_str(), FILE_READ_ATTRIBUTES, kShareAll,
                                         nullptr, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT,
                                         nullptr));
    if (!named.is_open()) {
      switch (GetLastError()) {
        case ERROR_FILE_NOT_FOUND:
          return Step::kAgain;
        case ERROR_ACCESS_DENIED:
        case ERROR_DELETE_PENDING:
          return Step::kHeld;
        default:
          return Fail(operation, error);
      }
    }
    FileState now;
    const bool is_another =
        StateOf(named.get(), &now) && (judged == nullptr || !IsSameFile(now, *judged));
    return is_another ? Step::kAgain : Fail(operation, error);
  }

  const std::string& path_;
  std::wstring wide_path_;
  DWORD create_error_ = 0;
  bool took_over_ = false;
  Status status_;
};

}  // namespace

Status FileLock::TryAcquire(const std::string& path, std::unique_ptr<FileLock>* lock) {
  return Acquisition(path).Run(lock);
}

}  // namespace stc
