// Plaintext caches on POSIX systems: a file as MSAL writes it, read through a window and never
// locked. Writers that write in place can be caught in the act: Verify tells.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "../secret_store.h"

namespace stc {

namespace {

// Same as maxCacheSizeBytes in src/backend.ts.
constexpr int64_t kMaxCacheSize = int64_t{1} << 30;

Status ErrnoStatus(const char* operation, const std::string& path, int error) {
  if (error == ENOENT || error == ENOTDIR) return Status::NotFound();
  const std::string what = path + ": " + std::generic_category().message(error);
  if (error == EACCES || error == EPERM) {
    return Status(StatusCode::kStoreDenied, operation, "errno", error,
                  what + ". Run as the user who signed in, or correct the file's owner and mode.");
  }
  return Status(StatusCode::kIo, operation, "errno", error,
                what + ". Check the file and its file system.");
}

#if defined(__APPLE__)
const timespec& ModifiedAt(const struct stat& info) { return info.st_mtimespec; }
const timespec& ChangedAt(const struct stat& info) { return info.st_ctimespec; }
#else
const timespec& ModifiedAt(const struct stat& info) { return info.st_mtim; }
const timespec& ChangedAt(const struct stat& info) { return info.st_ctim; }
#endif

std::string Nanoseconds(const timespec& time) {
  return std::to_string(static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec);
}

// As src/pure.ts makes it of fs.stat.
std::string StampOf(const struct stat& info) {
  return std::to_string(static_cast<uint64_t>(info.st_dev)) + ":" +
         std::to_string(static_cast<uint64_t>(info.st_ino)) + ":" +
         std::to_string(static_cast<int64_t>(info.st_size)) + ":" + Nanoseconds(ModifiedAt(info)) +
         ":" + Nanoseconds(ChangedAt(info));
}

Status ChangedStatus(const std::string& path) {
  return Status(StatusCode::kCacheChanged, "fstat", "", 0,
                path + ": written to while it was read. Read it again.");
}

class FileSource : public ByteSource {
 public:
  FileSource(int fd, const std::string& path, const struct stat& info)
      : fd_(fd), path_(path), opened_(info), stamp_(StampOf(info)) {}
  ~FileSource() override { close(fd_); }

  std::string_view Whole(bool* whole) const override {
    *whole = false;
    return {};
  }

  Status Read(char* buffer, size_t capacity, size_t* size) override {
    const ssize_t got = PreadOnce(buffer, capacity, offset_);
    if (got < 0) return ErrnoStatus("read", path_, errno);
    offset_ += got;
    *size = static_cast<size_t>(got);
    // Growing without an end is no cache.
    if (offset_ > kMaxCacheSize) return TooLarge(path_);
    return Status::Ok();
  }

  Status Fetch(uint64_t offset, size_t size, char* buffer) override {
    size_t done = 0;
    while (done < size) {
      const ssize_t got = PreadOnce(buffer + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0) return ErrnoStatus("read", path_, errno);
      if (got == 0) return ChangedStatus(path_);
      done += static_cast<size_t>(got);
    }
    return Status::Ok();
  }

  Status Verify() override {
    struct stat info;
    if (fstat(fd_, &info) != 0) return ErrnoStatus("fstat", path_, errno);
    // Not the ctime: a rename over the path changes it, and what was read of the old file is whole.
    const bool is_same = info.st_size == opened_.st_size &&
                         Nanoseconds(ModifiedAt(info)) == Nanoseconds(ModifiedAt(opened_));
    return is_same ? Status::Ok() : ChangedStatus(path_);
  }

  const std::string& stamp() const override { return stamp_; }
  double modified_ms() const override {
    const timespec& modified = ModifiedAt(opened_);
    return static_cast<double>(modified.tv_sec) * 1e3 + static_cast<double>(modified.tv_nsec) / 1e6;
  }

  static Status TooLarge(const std::string& path) {
    return Status(StatusCode::kCacheCorrupt, "read", "", 0,
                  path + ": larger than 1 GiB, which no token cache is. Move it away.");
  }

 private:
  ssize_t PreadOnce(char* buffer, size_t size, off_t offset) const {
    ssize_t got;
    do {
      got = pread(fd_, buffer, size, offset);
    } while (got < 0 && errno == EINTR);
    return got;
  }

  const int fd_;
  const std::string path_;
  const struct stat opened_;
  const std::string stamp_;
  off_t offset_ = 0;
};

class PlaintextFileStore : public SecretStore {
 public:
  const char* name() const override { return "plaintext"; }

  Status Open(const StoreLocation& at, const CallLimits& /*limits*/,
              std::unique_ptr<ByteSource>* source) const override {
    // O_NONBLOCK: a FIFO without a writer would hold this thread for ever. It means nothing to a
    // file.
    const int fd = open(at.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return ErrnoStatus("open", at.path, errno);
    struct stat info;
    Status status;
    if (fstat(fd, &info) != 0) {
      status = ErrnoStatus("fstat", at.path, errno);
    } else {
      status = CheckKind(at.path, info);
    }
    if (!status.ok()) {
      close(fd);
      return status;
    }
    *source = std::make_unique<FileSource>(fd, at.path, info);
    return Status::Ok();
  }

  Status Stamp(const StoreLocation& at, const CallLimits& /*limits*/,
               std::string* stamp) const override {
    struct stat info;
    if (stat(at.path.c_str(), &info) != 0) return ErrnoStatus("stat", at.path, errno);
    *stamp = StampOf(info);
    return Status::Ok();
  }

 private:
  static Status CheckKind(const std::string& path, const struct stat& info) {
    if (S_ISDIR(info.st_mode)) return ErrnoStatus("open", path, EISDIR);
    if (!S_ISREG(info.st_mode)) {
      return Status(StatusCode::kIo, "open", "errno", EINVAL,
                    path + ": not a regular file. Move it away.");
    }
    if (info.st_size > kMaxCacheSize) return FileSource::TooLarge(path);
    return Status::Ok();
  }
};

REGISTER_STORE(PlaintextFileStore, 10);

}  // namespace

}  // namespace stc
