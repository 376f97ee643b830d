#include <algorithm>
#include <cstring>
#include <utility>

#include "base/wide_path.h"
#include "base/win32_status.h"
#include "base/windows_api.h"
#include "io/file_replace.h"
#include "io/own_permissions_win.h"
#include "io/temp_name.h"

namespace stc {

namespace {

// Fails with ERROR_DISK_FULL if a write is short.
bool WriteAll(HANDLE file, std::string_view data) {
  // Below the limits of a 32-bit size and of some network redirectors.
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

// Call it before a new file gets its name: after a power loss, a file system may remember the name
// and not the content. A file system that cannot flush is no failure.
bool Flush(HANDLE file) {
  if (FlushFileBuffers(file)) return true;
  const DWORD error = GetLastError();
  return error == ERROR_INVALID_FUNCTION || error == ERROR_NOT_SUPPORTED;
}

bool SetEnd(HANDLE file, int64_t size) {
  FILE_END_OF_FILE_INFO info;
  info.EndOfFile.QuadPart = size;
  return SetFileInformationByHandle(file, FileEndOfFileInfo, &info, sizeof info) != 0;
}

// Returns the modification time of the file at `path`; 0 if there is no file.
int64_t ModifiedAt(const std::wstring& path) {
  WIN32_FILE_ATTRIBUTE_DATA data;
  if (!GetFileAttributesExW(path.c_str(), GetFileExInfoStandard, &data)) return 0;
  return Ticks(data.ftLastWriteTime);
}

// Sets a modification time that every library takes for new, and reads the state of the file after
// that. `previous`: the modification time of the old file, or 0.
bool StampAfter(HANDLE file, int64_t previous, FileState* state) {
  const int64_t now = WallClockTicks() + kTicksPerMillisecond - 1;
  const int64_t whole = now - now % kTicksPerMillisecond;
  const int64_t wanted = std::max(whole, previous) + kTicksPerMillisecond;
  const FILETIME time = FromTicks(wanted);
  if (!SetFileTime(file, nullptr, nullptr, &time) || !StateOf(file, state)) return false;
  if (state->modified >= wanted - kTicksPerMillisecond) return true;
  // The file system stores whole seconds, or multiples of two (FAT).
  constexpr int64_t kPair = 2 * kTicksPerSecond;
  const FILETIME coarse = FromTicks((wanted / kPair + 1) * kPair);
  return SetFileTime(file, nullptr, nullptr, &coarse) && StateOf(file, state);
}

bool IsInUse(DWORD error) {
  switch (error) {
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_USER_MAPPED_FILE:
    case ERROR_DELETE_PENDING:
    // The error of a rename over a file that is open or being deleted.
    case ERROR_ACCESS_DENIED:
      return true;
    default:
      return false;
  }
}

// Renames as on POSIX systems: the old file may be read-only, and may be open if it shares
// deleting.
// `durable`: see ReplaceConditions.
bool RenameOver(const std::wstring& from, const std::wstring& to, bool durable) {
  const DWORD options = FILE_FLAG_OPEN_REPARSE_POINT | (durable ? FILE_FLAG_WRITE_THROUGH : 0);
  const UniqueHandle file(CreateFileW(from.c_str(), DELETE | SYNCHRONIZE, kShareAll, nullptr,
                                      OPEN_EXISTING, options, nullptr));
  if (!file.is_open()) return false;
  // FILE_RENAME_INFO with flags in place of ReplaceIfExists.
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
  Replacement(const std::string& path, const std::vector<std::string_view>& pieces,
              const ReplaceConditions& conditions, PlacedFile* placed)
      : path_(path), pieces_(pieces), conditions_(conditions), placed_(placed) {}

  Status Run(ReplaceMode mode, ReplaceOutcome* outcome) {
    *outcome = ReplaceOutcome::kBusy;
    // A rename over a symbolic link would replace the link.
    Status status = ResolveReplaced(path_, &target_);
    if (!status.ok()) return status;
    previous_ = ModifiedAt(target_);
    // A file that must be new cannot be in use.
    return mode == ReplaceMode::kRename || conditions_.must_be_new ? Rename(outcome)
                                                                   : Overwrite(outcome);
  }

 private:
  Status Fail(const char* operation, DWORD error) const {
    return Win32Status(operation, path_, error);
  }

  bool MayReplace() const { return !conditions_.may_replace || conditions_.may_replace(); }

  Status Rename(ReplaceOutcome* outcome) {
    std::wstring temp;
    const std::string temp_name = TempName(Narrow(target_), kReplacementSuffix);
    Status status = WidenPath(temp_name, &temp);
    if (!status.ok()) return status;
    OwnPermissions permissions;
    if (!conditions_.must_be_new) permissions = OwnPermissions::Of(target_);
    // Requests the right to set permissions only if there are any to set: a share that grants
    // "Change" refuses that right, even to the owner of a file. Source: Windows documentation,
    // share and NTFS permissions.
    const DWORD right = permissions.exist() ? WRITE_DAC : 0;
    UniqueHandle file(CreateFileW(temp.c_str(), GENERIC_WRITE | FILE_READ_ATTRIBUTES | right, 0,
                                  nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr));
    if (!file.is_open()) {
      const DWORD error = GetLastError();
      // A new file with other permissions might be readable by more people; keep the old file.
      if (error == ERROR_ACCESS_DENIED && permissions.exist()) return Overwrite(outcome);
      return Fail("CreateFileW", error);
    }
    // A handle for attributes only, which conflicts with no share mode.
    UniqueHandle observer(CreateFileW(temp.c_str(), FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES,
                                      kShareAll, nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL,
                                      nullptr));
    const DWORD observer_error = observer.is_open() ? ERROR_SUCCESS : GetLastError();
    // Sets permissions before the file has content.
    const DWORD error = permissions.exist() ? permissions.GiveTo(file.get()) : ERROR_SUCCESS;
    if (!observer.is_open()) {
      status = Fail("CreateFileW", observer_error);
    } else if (error != ERROR_SUCCESS) {
      status = Fail("SetSecurityInfo", error);
    } else if (!WriteAll(file.get(), pieces_)) {
      status = Fail("WriteFile", GetLastError());
    } else if (!Flush(file.get())) {
      status = Fail("FlushFileBuffers", GetLastError());
    } else {
      // Closed first, because closing sets time stamps.
      file.Close();
      status = Place(temp, observer.get(), outcome);
    }
    file.Close();
    observer.Close();
    if (*outcome != ReplaceOutcome::kReplaced) DeleteFileW(temp.c_str());
    return status;
  }

  // Moves the new file into place. `observer` is open on `temp`.
  Status Place(const std::wstring& temp, HANDLE observer, ReplaceOutcome* outcome) {
    FileState own;
    if (!StampAfter(observer, previous_, &own)) return Fail("SetFileTime", GetLastError());
    if (!MayReplace()) {
      *outcome = ReplaceOutcome::kRefused;
      return Status::Ok();
    }
    Status status = Move(temp, outcome);
    if (*outcome != ReplaceOutcome::kReplaced) return status;
    placed_->state = own;
    FileState now;
    // If the state cannot be read, the file is out of reach, and counts as written over.
    placed_->is_written_over = !StateOf(observer, &now) || !IsSameContent(now, own);
    if (placed_->is_written_over) return Status::Ok();
    // Sets the time once more, for file watchers that ignore renames.
    StampAfter(observer, previous_, &now);
    // Reads the state again through the path, as a reader does.
    const UniqueHandle named(CreateFileW(target_.c_str(), FILE_READ_ATTRIBUTES, kShareAll, nullptr,
                                         OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
    FileState seen;
    // On FAT the index of a file is its position in the directory, so a rename changes it (source:
    // Windows documentation, BY_HANDLE_FILE_INFORMATION). Compares with the state before the
    // rename, too, because some file systems keep returning that one for an open file.
    const auto is_ours = [&] { return IsSameFile(seen, now) || IsSameFile(seen, own); };
    placed_->is_written_over =
        !named.is_open() || !StateOf(named.get(), &seen) || !is_ours() || seen.size != own.size;
    if (!placed_->is_written_over) placed_->state = seen;
    return Status::Ok();
  }

  Status Move(const std::wstring& temp, ReplaceOutcome* outcome) const {
    const DWORD flags = (conditions_.must_be_new ? 0 : MOVEFILE_REPLACE_EXISTING) |
                        (conditions_.durable ? MOVEFILE_WRITE_THROUGH : 0);
    if (MoveFileExW(temp.c_str(), target_.c_str(), flags) != 0) {
      *outcome = ReplaceOutcome::kReplaced;
      return Status::Ok();
    }
    const DWORD error = GetLastError();
    switch (error) {
      case ERROR_ALREADY_EXISTS:
      case ERROR_FILE_EXISTS:
      // Another writer took our lock over and deleted our file, or the directory was deleted.
      case ERROR_FILE_NOT_FOUND:
        *outcome = ReplaceOutcome::kRefused;
        return Status::Ok();
      default:
        break;
    }
    if (!IsInUse(error)) return Fail("MoveFileExW", error);
    // Readers that share deleting keep the old file open. If the file system cannot do that, the
    // outcome stays kBusy.
    if (!conditions_.must_be_new && RenameOver(temp, target_, conditions_.durable)) {
      *outcome = ReplaceOutcome::kReplaced;
    }
    return Status::Ok();
  }

  Status Overwrite(ReplaceOutcome* outcome) {
    UniqueHandle file(CreateFileW(target_.c_str(), GENERIC_READ | GENERIC_WRITE, kShareAll, nullptr,
                                  OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
    if (!file.is_open()) {
      const DWORD error = GetLastError();
      // Deleted meanwhile, for example by a sign-out. Creating it again would undo that.
      if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND) {
        *outcome = ReplaceOutcome::kRefused;
        return Status::Ok();
      }
      // ERROR_ACCESS_DENIED is not about sharing here.
      if (error != ERROR_ACCESS_DENIED && IsInUse(error)) return Status::Ok();
      return Fail("CreateFileW", error);
    }
    if (!MayReplace()) {
      *outcome = ReplaceOutcome::kRefused;
      return Status::Ok();
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
    // The sooner the better: until then, a power loss can leave half of the content.
    const bool is_flushed = Flush(file.get());
    // The change is in the file. Whatever fails from here on leaves only a doubt about it.
    placed_->is_written_over = !StampAfter(file.get(), previous_, &placed_->state) ||
                               placed_->state.size != size || !is_flushed;
    *outcome = ReplaceOutcome::kReplaced;
    return Status::Ok();
  }

  const std::string& path_;
  const std::vector<std::string_view>& pieces_;
  const ReplaceConditions& conditions_;
  PlacedFile* const placed_;
  std::wstring target_;
  int64_t previous_ = 0;
};

}  // namespace

Status ResolveReplaced(const std::string& path, std::wstring* target) {
  Status status = WidenPath(path, target);
  if (!status.ok()) return status;
  const DWORD attributes = GetFileAttributesW(target->c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES) return Status::Ok();
  if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
    return Win32Status("CreateFileW", path, ERROR_CANT_ACCESS_FILE);
  }
  if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) return Status::Ok();
  const UniqueHandle file(CreateFileW(target->c_str(), FILE_READ_ATTRIBUTES, kShareAll, nullptr,
                                      OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!file.is_open()) return Win32Status("CreateFileW", path, GetLastError());
  const DWORD size = GetFinalPathNameByHandleW(file.get(), nullptr, 0, FILE_NAME_NORMALIZED);
  std::wstring resolved(size, L'\0');
  const DWORD length = size == 0 ? 0
                                 : GetFinalPathNameByHandleW(file.get(), resolved.data(), size,
                                                             FILE_NAME_NORMALIZED);
  // `length` is too large if the file was renamed between the calls.
  if (length == 0 || length >= size) {
    return Win32Status("GetFinalPathNameByHandleW", path,
                       length == 0 ? GetLastError() : ERROR_RETRY);
  }
  resolved.resize(length);
  *target = std::move(resolved);
  return Status::Ok();
}

Status ReplaceFileContent(const std::string& path, const std::vector<std::string_view>& pieces,
                          ReplaceMode mode, const ReplaceConditions& conditions,
                          ReplaceOutcome* outcome, PlacedFile* placed) {
  return Replacement(path, pieces, conditions, placed).Run(mode, outcome);
}

}  // namespace stc
