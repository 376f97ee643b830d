// Time stamps of files, which have different names on Linux and macOS.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_TIMES_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_TIMES_H_

#include <sys/stat.h>
#include <time.h>

#include <cstdint>

namespace stc {

#if defined(__APPLE__)
inline const timespec& ModifiedAt(const struct stat& info) { return info.st_mtimespec; }
inline const timespec& ChangedAt(const struct stat& info) { return info.st_ctimespec; }
#else
inline const timespec& ModifiedAt(const struct stat& info) { return info.st_mtim; }
inline const timespec& ChangedAt(const struct stat& info) { return info.st_ctim; }
#endif

inline int64_t Nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

inline timespec FromNanoseconds(int64_t nanoseconds) {
  timespec time = {};
  time.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000);
  time.tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000);  // NOLINT: its type
  return time;
}

inline int64_t WallClockNanoseconds() {
  timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  return Nanoseconds(now);
}

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_TIMES_H_
