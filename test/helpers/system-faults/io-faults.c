/*
 * A library to preload that simulates a failing disk. STC_FAULT is "<call> <errno>": that call
 * fails with that error for files whose name ends in ".tmp" (the new cache); "read" fails for
 * ".nocae" (the old cache), and "link" for every file. A write fails after half of its bytes, as on
 * a full disk. "fstat-placed" and "futimens-placed" fail for the new cache once it has its name,
 * "fsync" for every file and folder, "read-lock" for lock files, and "fstat-lock" for those that
 * have no name yet. "flock-in-place" means that no file can have two names, and that another
 * program is locking each lock file.
 *
 * STC_INTERRUPTED is the beginning of a path: on files there, every other call is interrupted by a
 * signal.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int fault_of(const char* call) {
  const char* fault = getenv("STC_FAULT");
  const size_t size = strlen(call);
  return fault != NULL && strncmp(fault, call, size) == 0 && fault[size] == ' ' ? atoi(fault + size) : 0;
}

static int ends_with(const char* path, const char* end) {
  const size_t size = strlen(path);
  return size > strlen(end) && strcmp(path + size - strlen(end), end) == 0;
}

static int is_new_cache(const char* path) { return ends_with(path, ".tmp"); }

/* An empty text if the file has no name. */
static const char* path_of(int fd, char path[4096]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, 4095);
  path[size > 0 ? size : 0] = '\0';
  return path;
}

static int is_open_on(int fd, const char* end) {
  char path[4096];
  return ends_with(path_of(fd, path), end);
}

static int is_private_lock(int fd) {
  char path[4096];
  return strstr(path_of(fd, path), ".lockfile.") != NULL;
}

static __thread unsigned calls;

static int is_interrupted(const char* path) {
  const char* folder = getenv("STC_INTERRUPTED");
  if (folder == NULL || strncmp(path, folder, strlen(folder)) != 0 || ++calls % 2 == 0) return 0;
  errno = EINTR;
  return 1;
}

static int is_fd_interrupted(int fd) {
  char path[4096];
  return getenv("STC_INTERRUPTED") != NULL && is_interrupted(path_of(fd, path));
}

static int is_open_on_new_cache(int fd) { return is_open_on(fd, ".tmp"); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define FAIL_IF(call, condition)            \
  do {                                      \
    const int error = fault_of(call);       \
    if (error != 0 && (condition)) {        \
      errno = error;                        \
      return -1;                            \
    }                                       \
  } while (0)

static int has_written;
/* Whether the new cache has its name. */
static int has_placed;

ssize_t write(int fd, const void* data, size_t size) {
  if (is_fd_interrupted(fd)) return -1;
  if (fault_of("write") != 0 && is_open_on_new_cache(fd)) {
    if (!has_written && size > 1) {
      has_written = 1;
      return REAL(write)(fd, data, size / 2);
    }
    FAIL_IF("write", 1);
  }
  return REAL(write)(fd, data, size);
}

int rename(const char* from, const char* to) {
  if (is_interrupted(from)) return -1;
  FAIL_IF("rename", is_new_cache(from));
  const int result = REAL(rename)(from, to);
  if (is_new_cache(from)) has_placed = 1;
  return result;
}

int futimens(int fd, const struct timespec times[2]) {
  if (is_fd_interrupted(fd)) return -1;
  FAIL_IF("futimens-placed", is_open_on(fd, ".nocae"));
  FAIL_IF("futimens", is_open_on_new_cache(fd));
  return REAL(futimens)(fd, times);
}

int fchmod(int fd, mode_t mode) {
  if (is_fd_interrupted(fd)) return -1;
  FAIL_IF("fchmod", is_open_on_new_cache(fd));
  return REAL(fchmod)(fd, mode);
}

int link(const char* from, const char* to) {
  if (is_interrupted(from)) return -1;
  FAIL_IF("link", 1);
  FAIL_IF("flock-in-place", 1);
  return REAL(link)(from, to);
}

ssize_t read(int fd, void* data, size_t size) {
  if (is_fd_interrupted(fd)) return -1;
  FAIL_IF("read", is_open_on(fd, ".nocae"));
  return REAL(read)(fd, data, size);
}

/* Programs that are compiled for large files call the second function. */
ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  if (is_fd_interrupted(fd)) return -1;
  FAIL_IF("read-lock", is_open_on(fd, ".lockfile"));
  FAIL_IF("read", is_open_on(fd, ".nocae"));
  return REAL(pread)(fd, data, size, offset);
}

ssize_t pread64(int fd, void* data, size_t size, off64_t offset) {
  if (is_fd_interrupted(fd)) return -1;
  FAIL_IF("read-lock", is_open_on(fd, ".lockfile"));
  FAIL_IF("read", is_open_on(fd, ".nocae"));
  return REAL(pread64)(fd, data, size, offset);
}

int fdatasync(int fd) {
  if (is_fd_interrupted(fd)) return -1;
  FAIL_IF("fdatasync", is_open_on_new_cache(fd));
  return REAL(fdatasync)(fd);
}

int fsync(int fd) {
  if (is_fd_interrupted(fd)) return -1;
  FAIL_IF("fsync", 1);
  return REAL(fsync)(fd);
}

int fchown(int fd, uid_t owner, gid_t group) {
  if (is_fd_interrupted(fd)) return -1;
  return REAL(fchown)(fd, owner, group);
}

int flock(int fd, int operation) {
  if (is_fd_interrupted(fd)) return -1;
  FAIL_IF("flock-in-place", is_open_on(fd, ".lockfile"));
  return REAL(flock)(fd, operation);
}

int unlink(const char* path) {
  if (is_interrupted(path)) return -1;
  return REAL(unlink)(path);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  if (is_fd_interrupted(fd)) return -1;
  return REAL(pwrite)(fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  if (is_fd_interrupted(fd)) return -1;
  return REAL(pwrite64)(fd, data, size, offset);
}

#define OPEN(name)                                       \
  int name(const char* path, int flags, ...) {           \
    va_list rest;                                        \
    va_start(rest, flags);                               \
    const int mode = va_arg(rest, int);                  \
    va_end(rest);                                        \
    if (is_interrupted(path)) return -1;                 \
    return REAL(name)(path, flags, mode);                \
  }

OPEN(open)
OPEN(open64)

#define STAT(name, state)                                \
  int name(const char* path, struct state* info) {       \
    if (is_interrupted(path)) return -1;                 \
    return REAL(name)(path, info);                       \
  }

STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)

#define FSTAT(name, state)                               \
  int name(int fd, struct state* info) {                 \
    if (is_fd_interrupted(fd)) return -1;                \
    FAIL_IF("fstat-lock", is_private_lock(fd));          \
    FAIL_IF("fstat-placed", has_placed && is_open_on(fd, ".nocae")); \
    return REAL(name)(fd, info);                         \
  }

FSTAT(fstat, stat)
FSTAT(fstat64, stat64)
