#include "io/cache_file_win.h"

#include <algorithm>
#include <utility>

#include "base/wide_path.h"
#include "base/win32_status.h"
#include "io/cache_file_errors.h"

namespace stc {

namespace {

Status OpenFailure(const std::string& path, DWORD error) {
  Status status = Win32Status("CreateFileW", path, error);
  switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    // A part of the path is not a directory.
    case ERROR_DIRECTORY:
      return Status::NotFound();
    // Another process is most likely replacing, deleting or writing the file. If that lasts, the
    // message of `status` says which file to close.
    case ERROR_SHARING_VIOLATION:
    case ERROR_DELETE_PENDING:
      return Status(StatusCode::kCacheChanged, status.operation(), status.domain(),
                    status.os_code(), status.message());
    default:
      return status;
  }
}

// Opens the file or directory at `path` for `access` and reads its state.
Status OpenShared(const std::string& path, DWORD access, UniqueHandle* file, FileState* state) {
  std::wstring wide;
  Status status = WidenPath(path, &wide);
  if (!status.ok()) return status;
  *file = UniqueHandle(CreateFileW(wide.c_str(), access, kShareAll, nullptr, OPEN_EXISTING,
                                   FILE_FLAG_BACKUP_SEMANTICS, nullptr));
  if (!file->is_open()) return OpenFailure(path, GetLastError());
  if (!StateOf(file->get(), state)) {
    return Win32Status("GetFileInformationByHandle", path, GetLastError());
  }
  return Status::Ok();
}

}  // namespace

Status CacheFile::Open(const std::string& path, std::unique_ptr<CacheFile>* file) {
  UniqueHandle handle;
  FileState state;
  Status status = OpenShared(path, GENERIC_READ, &handle, &state);
  if (!status.ok()) return status;
  if ((state.attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
    return Win32Status("CreateFileW", path, kDirectoryNotSupported);
  }
  if (GetFileType(handle.get()) != FILE_TYPE_DISK) {
    return NotARegularFile("CreateFileW", path, "win32", ERROR_INVALID_NAME);
  }
  if (state.size > kMaxCacheSize) return CacheTooLarge("ReadFile", path);
  *file = std::make_unique<CacheFile>(std::move(handle), path, state);
  return status;
}

Status CacheFile::Stamp(const std::string& path, std::string* stamp) {
  UniqueHandle handle;
  FileState state;
  Status status = OpenShared(path, FILE_READ_ATTRIBUTES, &handle, &state);
  if (status.ok()) *stamp = StampOf(state);
  return status;
}

CacheFile::CacheFile(UniqueHandle file, const std::string& path, const FileState& state)
    : file_(std::move(file)), path_(path), opened_(state), stamp_(StampOf(state)) {}

std::string_view CacheFile::Whole(bool* whole) const {
  *whole = false;
  return {};
}

Status CacheFile::Read(char* buffer, size_t capacity, size_t* size) {
  Status status = ReadOnce(offset_, buffer, capacity, size);
  if (!status.ok()) return status;
  offset_ += *size;
  // A writer may keep appending.
  if (offset_ > static_cast<uint64_t>(kMaxCacheSize)) return CacheTooLarge("ReadFile", path_);
  return Status::Ok();
}

Status CacheFile::Fetch(uint64_t offset, size_t size, char* buffer) {
  size_t done = 0;
  while (done < size) {
    size_t got = 0;
    Status status = ReadOnce(offset + done, buffer + done, size - done, &got);
    if (!status.ok()) return status;
    if (got == 0) return CacheChanged("GetFileInformationByHandle", path_);
    done += got;
  }
  return Status::Ok();
}

Status CacheFile::Verify() {
  FileState now;
  if (!StateOf(file_.get(), &now)) {
    return Win32Status("GetFileInformationByHandle", path_, GetLastError());
  }
  // Not the change time: a rename over the path sets it, but the content of the old file stays
  // whole.
  return IsSameContent(now, opened_) ? Status::Ok()
                                     : CacheChanged("GetFileInformationByHandle", path_);
}

Status CacheFile::ReadWhole(SecureBytes* bytes) {
  *bytes = SecureBytes(static_cast<size_t>(opened_.size));
  Status status = Fetch(0, bytes->size(), bytes->data());
  return status.ok() ? Verify() : status;
}

Status CacheFile::ReadOnce(uint64_t offset, char* buffer, size_t capacity, size_t* size) const {
  // Below the limits of a 32-bit size and of some network redirectors.
  constexpr size_t kMostAtOnce = size_t{16} << 20;
  OVERLAPPED at = {};
  at.Offset = static_cast<DWORD>(offset);
  at.OffsetHigh = static_cast<DWORD>(offset >> 32);
  DWORD got = 0;
  *size = 0;
  if (!ReadFile(file_.get(), buffer, static_cast<DWORD>(std::min(capacity, kMostAtOnce)), &got,
                &at)) {
    const DWORD error = GetLastError();
    if (error == ERROR_HANDLE_EOF) return Status::Ok();
    // A writer has locked a part of the file.
    return error == ERROR_LOCK_VIOLATION ? CacheChanged("GetFileInformationByHandle", path_)
                                         : Win32Status("ReadFile", path_, error);
  }
  *size = got;
  return Status::Ok();
}

}  // namespace stc
