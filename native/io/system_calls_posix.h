// The system calls on files, repeated while a signal interrupts them. On file systems of a network
// or of a program, any of them may be interrupted. The names and results are those of the calls.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_SYSTEM_CALLS_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_SYSTEM_CALLS_POSIX_H_

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>

namespace stc {

namespace sys {

template <typename Call>
auto Repeat(Call call) {
  for (;;) {
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

// Not close: the descriptor is closed even if a signal interrupts the call.

inline int Open(const std::string& path, int flags, mode_t mode = 0) {
  return Repeat([&] { return open(path.c_str(), flags, mode); });
}

inline int Stat(const std::string& path, struct stat* info) {
  return Repeat([&] { return stat(path.c_str(), info); });
}

inline int Lstat(const std::string& path, struct stat* info) {
  return Repeat([&] { return lstat(path.c_str(), info); });
}

inline int Fstat(int fd, struct stat* info) {
  return Repeat([&] { return fstat(fd, info); });
}

inline ssize_t Pread(int fd, void* buffer, size_t size, off_t offset) {
  return Repeat([&] { return pread(fd, buffer, size, offset); });
}

inline ssize_t Pwrite(int fd, const void* data, size_t size, off_t offset) {
  return Repeat([&] { return pwrite(fd, data, size, offset); });
}

inline ssize_t Write(int fd, const void* data, size_t size) {
  return Repeat([&] { return write(fd, data, size); });
}

inline int Futimens(int fd, const struct timespec times[2]) {
  return Repeat([&] { return futimens(fd, times); });
}

inline int Fchmod(int fd, mode_t mode) {
  return Repeat([&] { return fchmod(fd, mode); });
}

inline int Fchown(int fd, uid_t owner, gid_t group) {
  return Repeat([&] { return fchown(fd, owner, group); });
}

inline int Flock(int fd, int operation) {
  return Repeat([&] { return flock(fd, operation); });
}

inline int Fcntl(int fd, int command, struct flock* lock) {
  return Repeat([&] { return fcntl(fd, command, lock); });
}

inline int Link(const std::string& from, const std::string& to) {
  return Repeat([&] { return link(from.c_str(), to.c_str()); });
}

inline int Rename(const std::string& from, const std::string& to) {
  return Repeat([&] { return rename(from.c_str(), to.c_str()); });
}

inline int Unlink(const std::string& path) {
  return Repeat([&] { return unlink(path.c_str()); });
}

}  // namespace sys

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_SYSTEM_CALLS_POSIX_H_
