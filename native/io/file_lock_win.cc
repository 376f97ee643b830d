// The lock file on Windows.
//
// A lock is taken by creating a file exclusively with one call, which also opens it for writing,
// shares it with readers only, and has the system delete it when its one handle is closed, also if
// the process dies. So another library that creates exclusively finds the name taken; one that
// opens the file to write it or to lock a part of it (.NET, Go, Java, portalocker) is refused; one
// that deletes the file by name is refused.
//
// The other way round, every other library has its lock file open for writing while it holds the
// lock, which we detect by opening the file without sharing writing. The exception is Python
// without portalocker, whose lock is the existence of the file. IsLeftBehind decides about a lock
// file that nobody has open.
//
// The new file inherits the permissions of its directory, which in a user's profile admit that
// user, the system and administrators.

#include <algorithm>
#include <string>
#include <utility>

#include "base/wide_path.h"
#include "base/win32_status.h"
#include "base/windows_api.h"
#include "io/file_lock.h"
#include "io/file_state_win.h"
#include "io/lock_ages.h"
#include "io/lock_observations.h"
#include "io/lock_text.h"
#include "io/temp_name.h"

namespace stc {

namespace {

// Larger than the text of a lock file. Bytes.
constexpr DWORD kTextSpace = 4096;

double Seconds(int64_t ticks) {
  return static_cast<double>(ticks) / static_cast<double>(kTicksPerSecond);
}

// `now`: ticks, by the clock of the file system or by ours.
LockAge AgeOf(const std::string& path, const FileState& state, int64_t now) {
  LockAge age;
  age.observed =
      LockObservations::Shared().SecondsSince(path, {state.volume, state.index, state.modified});
  age.longest = age.observed;
  for (const int64_t stamp : {state.modified, state.changed}) {
    if (stamp > 0) age.longest = std::max(age.longest, Seconds(now - stamp));
  }
  const int64_t touched = std::max(state.modified, state.changed);
  if (touched > 0) age.changed = Seconds(now - touched);
  return age;
}

// Returns the time by the clock that stamps the files beside `path`, ticks. It may be the clock of
// a server, and ours may be wrong. If no file can be created there, returns our time.
int64_t FileSystemClock(const std::string& path) {
  const auto measure = [&]() -> int64_t {
    std::wstring wide;
    if (!WidenPath(TempName(path, ".clock"), &wide).ok()) return 0;
    const UniqueHandle fresh(
        CreateFileW(wide.c_str(), GENERIC_WRITE | FILE_READ_ATTRIBUTES | DELETE, kShareAll, nullptr,
                    CREATE_NEW, FILE_ATTRIBUTE_TEMPORARY | FILE_FLAG_DELETE_ON_CLOSE, nullptr));
    FileState state;
    const bool is_known = fresh.is_open() && StateOf(fresh.get(), &state) && state.modified > 0;
    return is_known ? state.modified - WallClockTicks() : 0;
  };
  return WallClockTicks() +
         ClockOffsets::Shared().For(path.substr(0, path.find_last_of("\\/") + 1), measure);
}

// ---- Whether the writer of a lock file lives ----

enum class Writer { kUnknown, kDead, kLiving };

// `age`: of the lock file that names `pid`. Compares ages, because the clock that stamps the file
// may be another one than that of the processes.
Writer WriterOf(DWORD pid, const LockAge& age) {
  if (pid == 0) return Writer::kUnknown;
  const UniqueHandle process(
      OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, pid));
  if (!process.is_open()) {
    return GetLastError() == ERROR_INVALID_PARAMETER ? Writer::kDead : Writer::kLiving;
  }
  // Process ids are multiples of 4; OpenProcess rounds others down.
  if (GetProcessId(process.get()) != pid) return Writer::kDead;
  // The process has ended, and another process still has a handle to it.
  if (WaitForSingleObject(process.get(), 0) == WAIT_OBJECT_0) return Writer::kDead;
  FILETIME start;
  FILETIME unused[3];
  if (!GetProcessTimes(process.get(), &start, &unused[0], &unused[1], &unused[2])) {
    return Writer::kLiving;
  }
  // A process that is younger than the last change of the file reuses the writer's id.
  const double lifetime = Seconds(WallClockTicks() - Ticks(start));
  return lifetime >= 0 && lifetime + 1 < age.changed ? Writer::kDead : Writer::kLiving;
}

// Returns whether processes of another machine may use this file.
bool MayBeShared(HANDLE file) {
  FILE_REMOTE_PROTOCOL_INFO info;
  return GetFileInformationByHandleEx(file, FileRemoteProtocolInfo, &info, sizeof info) != 0;
}

// Whether a lock file that nobody has open for writing was left behind, whatever its age.
bool IsLeftBehindAtOnce(const LockText& text, LockUse use) {
  switch (text.library) {
    case LockLibrary::kNone:
    case LockLibrary::kOursInJs:
      return false;
    case LockLibrary::kOurs:
      // The writer has a handle as long as it lives, and the system deletes the file with it. That
      // the file exists means that the machine was switched off.
      return true;
    case LockLibrary::kDotnetOrGo:
    case LockLibrary::kOther:
      break;
  }
  // Nobody else has a reason to create it.
  return use == LockUse::kOwn;
}

// The same, by its age.
bool IsLeftBehind(const LockText& text, const LockAge& age, HANDLE file) {
  if (text.library == LockLibrary::kNone) return age.longest > kEmptyAge;
  const Writer writer = WriterOf(text.pid, age);
  if (text.library == LockLibrary::kDotnetOrGo) {
    return writer == Writer::kDead || age.observed > kReleasedAge;
  }
  if (writer == Writer::kDead) {
    return age.longest > (MayBeShared(file) ? kDeadElsewhereAge : kDeadAge);
  }
  return age.longest > kLivingAge;
}

// The same, for the lock file that `file` is open on. While it is, nobody can open the lock file
// for writing.
bool IsStale(const std::string& path, HANDLE file, const FileState& state, LockUse use) {
  char buffer[kMaxLockText];
  DWORD size = 0;
  // Fails if another process has locked a part of it through a handle for reading.
  if (!ReadFile(file, buffer, sizeof buffer, &size, nullptr)) return false;
  const LockText text = ParseLockText({buffer, size}, MAXDWORD);
  const auto judge = [&](int64_t now) { return IsLeftBehind(text, AgeOf(path, state, now), file); };
  // Our clock may be wrong. Asks the file system only if it matters, because that costs a file.
  return IsLeftBehindAtOnce(text, use) || (judge(WallClockTicks()) && judge(FileSystemClock(path)));
}

// ---- The lock ----

class WindowsFileLock : public FileLock {
 public:
  // `identity`: the state of `file`.
  WindowsFileLock(std::string path, std::wstring wide_path, UniqueHandle file,
                  const FileState& identity, bool took_over)
      : path_(std::move(path)),
        wide_path_(std::move(wide_path)),
        file_(std::move(file)),
        took_over_(took_over),
        identity_(identity) {}

  // Closing deletes the file.
  ~WindowsFileLock() override = default;

  bool IsAt(const std::string& path) const override {
    std::wstring wide_path;
    return WidenPath(path, &wide_path).ok() && Names(wide_path);
  }

  // Nobody can delete or rename a file that we have open without sharing that. But the path may
  // lead to another file now, and not every file system enforces share modes.
  bool Check() override { return Names(wide_path_); }

  Status Touch() override {
    const FILETIME now = FromTicks(WallClockTicks());
    if (!SetFileTime(file_.get(), nullptr, nullptr, &now)) {
      return Win32Status("SetFileTime", path_, GetLastError());
    }
    return Status::Ok();
  }

  bool took_over() const override { return took_over_; }

 private:
  // Whether the path leads to our file.
  bool Names(const std::wstring& wide_path) const {
    // Reading attributes is allowed in every share mode.
    const UniqueHandle named(CreateFileW(wide_path.c_str(), FILE_READ_ATTRIBUTES, kShareAll,
                                         nullptr, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT,
                                         nullptr));
    FileState state;
    return named.is_open() && StateOf(named.get(), &state) && IsSameFile(state, identity_);
  }

  const std::string path_;
  const std::wstring wide_path_;
  UniqueHandle file_;
  const bool took_over_;
  const FileState identity_;
};

// Deletes the file that `file` is open on, even if its path leads to another file now.
bool DeleteThrough(HANDLE file) {
  // DELETE | POSIX_SEMANTICS | IGNORE_READONLY_ATTRIBUTE: the name is free as soon as we close the
  // handle, even if other processes have the file open. Source: FILE_DISPOSITION_INFORMATION_EX in
  // ntddk.h of the Windows SDK.
  DWORD flags = 0x1 | 0x2 | 0x10;
  if (SetFileInformationByHandle(file, kFileDispositionInfoEx, &flags, sizeof flags)) return true;
  // The file system, or an early Windows 10, does not support that.
  FILE_DISPOSITION_INFO deletion = {};
  deletion.DeleteFile = TRUE;
  return SetFileInformationByHandle(file, FileDispositionInfo, &deletion, sizeof deletion) != 0;
}

enum class Step {
  // The lock file is gone or was replaced: try to create it again.
  kRetry,
  // There is a lock file, or one that is being deleted.
  kExists,
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
    Status status = WidenPath(path_, &wide_path_);
    if (!status.ok()) return status;
    // A retry follows a change by another process. After eight, the lock counts as held: others
    // take it all the time.
    for (int attempt = 0; attempt < 8; ++attempt) {
      Step step = Create(lock);
      // If we have just deleted a stale file, then another process was faster, or processes that
      // examined the same file have not closed it yet. Opening it again would delay its deletion.
      if (step == Step::kExists) step = took_over_ ? Step::kHeld : Examine();
      if (step == Step::kFailed) return status_;
      if (step == Step::kHeld) break;
      if (step == Step::kAcquired) {
        LockObservations::Shared().Forget(path_);
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

  // Creates the lock file.
  Step Create(std::unique_ptr<FileLock>* lock) {
    // A lease can be taken away from a holder that hangs: WindowsFileLock::Check notices. The lock
    // of a cache cannot, because other libraries do not look again before they write.
    const DWORD share =
        use_ == LockUse::kOwn ? FILE_SHARE_READ | FILE_SHARE_DELETE : FILE_SHARE_READ;
    UniqueHandle file(CreateFileW(
        wide_path_.c_str(), GENERIC_READ | GENERIC_WRITE | DELETE, share, nullptr, CREATE_NEW,
        FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE | FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
    if (!file.is_open()) {
      create_error_ = GetLastError();
      switch (create_error_) {
        case ERROR_FILE_EXISTS:
        case ERROR_ALREADY_EXISTS:
        case ERROR_SHARING_VIOLATION:
        // The file is being deleted while another process has it open. ERROR_ACCESS_DENIED also
        // if we may not create a file here.
        case ERROR_ACCESS_DENIED:
        case ERROR_DELETE_PENDING:
          return Step::kExists;
        default:
          return Fail("CreateFileW", create_error_);
      }
    }
    // Behind the text: no other process can read a range that is locked exclusively, and the text
    // says who holds the lock. Other libraries lock much more, from the beginning of the file.
    // Source: LockFileEx, "Remarks".
    OVERLAPPED behind_text = {};
    behind_text.Offset = kTextSpace;
    if (!LockFileEx(file.get(), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0,
                    MAXDWORD - kTextSpace, MAXDWORD, &behind_text) &&
        GetLastError() == ERROR_LOCK_VIOLATION) {
      // The file system does not enforce share modes. (One without locks fails with another error.)
      return Step::kHeld;
    }
    const std::string text = OwnLockText(GetCurrentProcessId());
    DWORD written = 0;
    if (!WriteFile(file.get(), text.data(), static_cast<DWORD>(text.size()), &written, nullptr)) {
      return Fail("WriteFile", GetLastError());
    }
    if (written != text.size()) return Fail("WriteFile", ERROR_DISK_FULL);
    FileState identity;
    if (!StateOf(file.get(), &identity)) {
      // Without it, Check could not tell whether the lock file is still ours.
      return Fail("GetFileInformationByHandle", GetLastError());
    }
    *lock =
        std::make_unique<WindowsFileLock>(path_, wide_path_, std::move(file), identity, took_over_);
    return Step::kAcquired;
  }

  // Examines the lock file, and deletes it if it is stale.
  Step Examine() {
    // Does not share writing: that fails while a holder has the file open. Shares deleting, because
    // a library whose lock is the existence of the file may be about to delete it.
    const UniqueHandle file(CreateFileW(wide_path_.c_str(), GENERIC_READ | DELETE,
                                        FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                        FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
    if (!file.is_open()) {
      const DWORD error = GetLastError();
      switch (error) {
        case ERROR_FILE_NOT_FOUND:
          return create_error_ == ERROR_ACCESS_DENIED ? ExamineDirectory() : Step::kRetry;
        case ERROR_SHARING_VIOLATION:
          LockObservations::Shared().Forget(path_);
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
    // A symbolic link or junction, which no library creates as a lock.
    if ((state.attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
      if (use_ == LockUse::kOwn) return Delete(file.get(), state);
      return Fail("CreateFileW", ERROR_CANT_ACCESS_FILE);
    }
    if (!IsStale(path_, file.get(), state, use_)) return Step::kHeld;
    return Delete(file.get(), state);
  }

  // There is no lock file, but creating one was refused: a file with that name was being deleted,
  // or we may not create files here.
  Step ExamineDirectory() {
    const std::wstring directory = wide_path_.substr(0, wide_path_.rfind(L'\\') + 1);
    const UniqueHandle handle(CreateFileW(directory.c_str(), FILE_ADD_FILE, kShareAll, nullptr,
                                          OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr));
    if (handle.is_open() || GetLastError() != ERROR_ACCESS_DENIED) return Step::kHeld;
    return Fail("CreateFileW", ERROR_ACCESS_DENIED);
  }

  // The lock file may not be read: it is a directory, it is being deleted, or it belongs to another
  // user. In a directory of ours we may delete a file of another user.
  Step ExamineForeign() {
    const UniqueHandle file(CreateFileW(wide_path_.c_str(), FILE_READ_ATTRIBUTES | DELETE,
                                        FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                        FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
    if (!file.is_open()) {
      const DWORD error = GetLastError();
      if (error == ERROR_FILE_NOT_FOUND) return Step::kRetry;
      return error == ERROR_ACCESS_DENIED ? ExamineClosed() : Step::kHeld;
    }
    FileState state;
    if (!StateOf(file.get(), &state)) {
      return FailUnlessGone("GetFileInformationByHandle", GetLastError(), nullptr);
    }
    if (IsYoungForeign(state)) return Step::kHeld;
    return Delete(file.get(), state);
  }

  // The lock file may be neither read nor deleted.
  Step ExamineClosed() {
    WIN32_FILE_ATTRIBUTE_DATA data;
    // Fails for a file that is being deleted.
    if (!GetFileAttributesExW(wide_path_.c_str(), GetFileExInfoStandard, &data)) return Step::kHeld;
    if ((data.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
      return Fail("CreateFileW", kDirectoryNotSupported);
    }
    FileState state;
    state.modified = Ticks(data.ftLastWriteTime);
    if (IsYoungForeign(state)) return Step::kHeld;
    return Fail("CreateFileW", ERROR_ACCESS_DENIED);
  }

  bool IsYoungForeign(const FileState& state) const {
    return AgeOf(path_, state, WallClockTicks()).longest <= kForeignAge ||
           AgeOf(path_, state, FileSystemClock(path_)).longest <= kForeignAge;
  }

  // `examined`: the state of the file that `file` is open on.
  Step Delete(HANDLE file, const FileState& examined) {
    if (!DeleteThrough(file)) {
      return FailUnlessGone("SetFileInformationByHandle", GetLastError(), &examined);
    }
    took_over_ = true;
    return Step::kRetry;
  }

  // Reports that `operation` failed on a lock file that we have open, unless that file is gone. If
  // two processes examine a stale file and the faster one deletes it, calls with the handle of the
  // other one fail with ERROR_ACCESS_DENIED. Source: Microsoft's Q113996 (NT status to Win32
  // error), STATUS_FILE_DELETED and STATUS_DELETE_PENDING. Opens the path again to tell.
  // `examined`: null if the state is not known.
  Step FailUnlessGone(const char* operation, DWORD error, const FileState* examined) {
    const UniqueHandle named(CreateFileW(wide_path_.c_str(), FILE_READ_ATTRIBUTES, kShareAll,
                                         nullptr, OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT,
                                         nullptr));
    if (!named.is_open()) {
      switch (GetLastError()) {
        case ERROR_FILE_NOT_FOUND:
          return Step::kRetry;
        case ERROR_ACCESS_DENIED:
        case ERROR_DELETE_PENDING:
          return Step::kHeld;
        default:
          return Fail(operation, error);
      }
    }
    FileState now;
    const bool is_another =
        StateOf(named.get(), &now) && (examined == nullptr || !IsSameFile(now, *examined));
    return is_another ? Step::kRetry : Fail(operation, error);
  }

  const std::string& path_;
  const LockUse use_;
  std::wstring wide_path_;
  DWORD create_error_ = 0;
  bool took_over_ = false;
  Status status_;
};

}  // namespace

Status FileLock::TryAcquire(const std::string& path, std::unique_ptr<FileLock>* lock, LockUse use) {
  return Acquisition(path, use).Run(lock);
}

}  // namespace stc
