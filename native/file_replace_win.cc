#include <algorithm>
#include <cstring>
#include <utility>

#include "file_replace.h"
#include "temp_name.h"
#include "wide_path.h"
#include "win32_status.h"
#include "windows_api.h"

namespace stc {

namespace {

constexpr char kTempSuffix[] = ".tmp";

// A full disk can show first as a short write.
bool WriteAll(HANDLE file, std::string_view data) {
  // Below the limit of a 32-bit size, and of what some redirectors take at once.
  constexpr size_t kMostAtOnce = size_t{16} << 20;
  while (!data.empty()) {
    DWORD written = 0;
    const auto size = static_cast<DWORD>(std::min(data.size(), kMostAtOnce));
    if (!WriteFile(file, data.data(), size, &written, nullptr)) return false;
    if (written == 0) {
      SetLastError(ERROR_DISK_FULL);
      return false;
    }
    data.remove_prefix(written);
  }
  return true;
}

bool WriteAll(HANDLE file, const std::vector<std::string_view>& pieces) {
  return std::all_of(pieces.begin(), pieces.end(),
                     [file](std::string_view piece) { return WriteAll(file, piece); });
}

bool SetEnd(HANDLE file, int64_t size) {
  FILE_END_OF_FILE_INFO info;
  info.EndOfFile.QuadPart = size;
  return SetFileInformationByHandle(file, FileEndOfFileInfo, &info, sizeof info) != 0;
}

// Last change of the file at `path`; 0 if there is none.
int64_t ModifiedAt(const std::wstring& path) {
  WIN32_FILE_ATTRIBUTE_DATA data;
  if (!GetFileAttributesExW(path.c_str(), GetFileExInfoStandard, &data)) return 0;
  return Ticks(data.ftLastWriteTime);
}

// `previous`: of the file before, or 0.
bool StampAfter(HANDLE file, int64_t previous) {
  const int64_t now = WallClockTicks() + kTicksPerMillisecond - 1;
  const int64_t whole = now - now % kTicksPerMillisecond;
  const FILETIME time = FromTicks(std::max(whole, previous) + kTicksPerMillisecond);
  return SetFileTime(file, nullptr, nullptr, &time) != 0;
}

bool IsInUse(DWORD error) {
  switch (error) {
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_USER_MAPPED_FILE:
    case ERROR_DELETE_PENDING:
    // What a rename over a file says that somebody has open, or that is being deleted.
    case ERROR_ACCESS_DENIED:
      return true;
    default:
      return false;
  }
}

// As rename of POSIX systems: the old file may be open, if it is shared with those who delete, and
// may be read-only.
bool RenameOver(const std::wstring& from, const std::wstring& to) {
  const UniqueHandle file(CreateFileW(from.c_str(), DELETE | SYNCHRONIZE, kShareAll, nullptr,
                                      OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
  if (!file.is_open()) return false;
  // FILE_RENAME_INFO with flags in the place of ReplaceIfExists.
  std::vector<char> buffer(sizeof(FILE_RENAME_INFO) + to.size() * sizeof(wchar_t));
  auto* const info = reinterpret_cast<FILE_RENAME_INFO*>(buffer.data());
  // REPLACE_IF_EXISTS | POSIX_SEMANTICS | IGNORE_READONLY_ATTRIBUTE. Source:
  // FILE_RENAME_INFORMATION in ntifs.h of the Windows driver kit.
  constexpr DWORD kFlags = 0x1 | 0x2 | 0x40;
  std::memcpy(info, &kFlags, sizeof kFlags);
  info->FileNameLength = static_cast<DWORD>(to.size() * sizeof(wchar_t));
  std::memcpy(info->FileName, to.data(), info->FileNameLength);
  return SetFileInformationByHandle(file.get(), kFileRenameInfoEx, info,
                                    static_cast<DWORD>(buffer.size())) != 0;
}

class Replacement {
 public:
  Replacement(const std::string& path, const std::vector<std::string_view>& pieces)
      : path_(path), pieces_(pieces) {}

  Status Run(ReplaceMode mode, ReplaceOutcome* outcome) {
    *outcome = ReplaceOutcome::kBusy;
    Status status = WidenPath(path_, &target_);
    if (status.ok()) status = Resolve();
    if (!status.ok()) return status;
    previous_ = ModifiedAt(target_);
    return mode == ReplaceMode::kRename ? Rename(outcome) : Overwrite(outcome);
  }

 private:
  Status Fail(const char* operation, DWORD error) const {
    return Win32Status(operation, path_, error);
  }

  // A rename over a symbolic link would replace the link.
  Status Resolve() {
    const DWORD attributes = GetFileAttributesW(target_.c_str());
    if (attributes == INVALID_FILE_ATTRIBUTES) return Status::Ok();
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
      return Fail("CreateFileW", ERROR_CANT_ACCESS_FILE);
    }
    if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) return Status::Ok();
    const UniqueHandle file(CreateFileW(target_.c_str(), FILE_READ_ATTRIBUTES, kShareAll, nullptr,
                                        OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
    if (!file.is_open()) return Fail("CreateFileW", GetLastError());
    const DWORD size = GetFinalPathNameByHandleW(file.get(), nullptr, 0, FILE_NAME_NORMALIZED);
    std::wstring resolved(size, L'\0');
    const DWORD length = size == 0 ? 0
                                   : GetFinalPathNameByHandleW(file.get(), resolved.data(), size,
                                                               FILE_NAME_NORMALIZED);
    if (length == 0 || length >= size) return Fail("GetFinalPathNameByHandleW", GetLastError());
    resolved.resize(length);
    target_ = std::move(resolved);
    return Status::Ok();
  }

  Status Rename(ReplaceOutcome* outcome) {
    std::wstring temp;
    const std::string temp_name = TempName(Narrow(target_), kTempSuffix);
    Status status = WidenPath(temp_name, &temp);
    if (!status.ok()) return status;
    UniqueHandle file(CreateFileW(temp.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW,
                                  FILE_ATTRIBUTE_NORMAL, nullptr));
    if (!file.is_open()) return Fail("CreateFileW", GetLastError());
    if (!WriteAll(file.get(), pieces_)) {
      status = Fail("WriteFile", GetLastError());
    } else if (!StampAfter(file.get(), previous_)) {
      status = Fail("SetFileTime", GetLastError());
    } else {
      // A handle that counts for no share mode, so that it is in nobody's way.
      const UniqueHandle stamp(CreateFileW(temp.c_str(), FILE_WRITE_ATTRIBUTES, kShareAll, nullptr,
                                           OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
      file.Close();
      status = Move(temp, outcome);
      // Once more: file watchers that pass over renames see a change of the time stamp.
      if (*outcome == ReplaceOutcome::kReplaced && stamp.is_open()) {
        StampAfter(stamp.get(), previous_);
      }
    }
    file.Close();
    if (*outcome != ReplaceOutcome::kReplaced) DeleteFileW(temp.c_str());
    return status;
  }

  Status Move(const std::wstring& temp, ReplaceOutcome* outcome) const {
    if (MoveFileExW(temp.c_str(), target_.c_str(), MOVEFILE_REPLACE_EXISTING) != 0) {
      *outcome = ReplaceOutcome::kReplaced;
      return Status::Ok();
    }
    const DWORD error = GetLastError();
    if (!IsInUse(error)) return Fail("MoveFileExW", error);
    // Readers that share deleting stay with the old file. Not every file system can do that: then
    // what the other call said counts.
    if (RenameOver(temp, target_)) *outcome = ReplaceOutcome::kReplaced;
    return Status::Ok();
  }

  Status Overwrite(ReplaceOutcome* outcome) const {
    UniqueHandle file(CreateFileW(target_.c_str(), GENERIC_READ | GENERIC_WRITE, kShareAll, nullptr,
                                  OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr));
    if (!file.is_open()) {
      const DWORD error = GetLastError();
      // Here it means what it says.
      if (error != ERROR_ACCESS_DENIED && IsInUse(error)) return Status::Ok();
      return Fail("CreateFileW", error);
    }
    int64_t size = 0;
    for (const std::string_view piece : pieces_) size += static_cast<int64_t>(piece.size());
    LARGE_INTEGER old;
    if (!GetFileSizeEx(file.get(), &old)) return Fail("GetFileSizeEx", GetLastError());
    if (size > old.QuadPart && !SetEnd(file.get(), size)) {
      return Fail("SetFileInformationByHandle", GetLastError());
    }
    if (!WriteAll(file.get(), pieces_)) return Fail("WriteFile", GetLastError());
    if (!SetEnd(file.get(), size)) return Fail("SetFileInformationByHandle", GetLastError());
    if (!StampAfter(file.get(), previous_)) return Fail("SetFileTime", GetLastError());
    *outcome = ReplaceOutcome::kReplaced;
    return Status::Ok();
  }

  const std::string& path_;
  const std::vector<std::string_view>& pieces_;
  std::wstring target_;
  int64_t previous_ = 0;
};

}  // namespace

Status ReplaceFileContent(const std::string& path, const std::vector<std::string_view>& pieces,
                          ReplaceMode mode, ReplaceOutcome* outcome) {
  return Replacement(path, pieces).Run(mode, outcome);
}

}  // namespace stc
