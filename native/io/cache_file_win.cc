#include "io/cache_file_win.h"

#include <algorithm>
#include <utility>

#include "base/wide_path.h"
#include "base/win32_status.h"

namespace stc {

namespace {

// Same as maxCacheSizeBytes in src/backend/backend.ts.
constexpr int64_t kMaxCacheSize = int64_t{1} << 30;

// Why a file could not be opened.
Status OpenFailure(const std::string& path, DWORD error) {
  Status status = Win32Status("CreateFileW", path, error);
  switch (error) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    // What stands where a directory was expected is none.
    case ERROR_DIRECTORY:
      return Status::NotFound();
    // Who replaces, deletes or writes it just now, most likely: the next look tells. What stays so
    // has the text that says what to close.
    case ERROR_SHARING_VIOLATION:
    case ERROR_DELETE_PENDING:
      return Status(StatusCode::kCacheChanged, status.operation(), status.domain(),
                    status.os_code(), status.message());
    default:
      return status;
  }
}

Status ChangedStatus(const std::string& path) {
  return Status(StatusCode::kCacheChanged, "GetFileInformationByHandle", "", 0,
                path + ": written to while it was read. Read it again.");
}

Status TooLarge(const std::string& path) {
  return Status(StatusCode::kCacheCorrupt, "ReadFile", "", 0,
                path + ": larger than 1 GiB, which no token cache is. Move it away.");
}

// Opens what is at `path`, a directory too, for `access`, and looks at it.
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
    return Status(StatusCode::kIo, "CreateFileW", "win32", ERROR_INVALID_NAME,
                  path + ": not a regular file. Move it away.");
  }
  if (state.size > kMaxCacheSize) return TooLarge(path);
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
  // Growing without an end is no cache.
  if (offset_ > static_cast<uint64_t>(kMaxCacheSize)) return TooLarge(path_);
  return Status::Ok();
}

Status CacheFile::Fetch(uint64_t offset, size_t size, char* buffer) {
  size_t done = 0;
  while (done < size) {
    size_t got = 0;
    Status status = ReadOnce(offset + done, buffer + done, size - done, &got);
    if (!status.ok()) return status;
    if (got == 0) return ChangedStatus(path_);
    done += got;
  }
  return Status::Ok();
}

Status CacheFile::Verify() {
  FileState now;
  if (!StateOf(file_.get(), &now)) {
    return Win32Status("GetFileInformationByHandle", path_, GetLastError());
  }
  // Not the time of the last change: a rename over the path sets it, and what was read of the old
  // file is whole.
  return IsSameContent(now, opened_) ? Status::Ok() : ChangedStatus(path_);
}

Status CacheFile::ReadWhole(SecureBytes* bytes) {
  *bytes = SecureBytes(static_cast<size_t>(opened_.size));
  Status status = Fetch(0, bytes->size(), bytes->data());
  return status.ok() ? Verify() : status;
}

Status CacheFile::ReadOnce(uint64_t offset, char* buffer, size_t capacity, size_t* size) const {
  // What a 32-bit size can say, and some redirectors take at once.
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
    // A writer holds a part of it: it is being written.
    return error == ERROR_LOCK_VIOLATION ? ChangedStatus(path_)
                                         : Win32Status("ReadFile", path_, error);
  }
  *size = got;
  return Status::Ok();
}

}  // namespace stc
