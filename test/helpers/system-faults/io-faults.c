/*
 * A library to preload that simulates a failing disk. STC_FAULT is "<call> <errno>": that call
 * fails with that error for files whose name ends in ".tmp" (the new cache); "read" fails for
 * ".nocae" (the old cache), and "link" for every file. A write fails after half of its bytes, as on
 * a full disk.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int is_open_on(int fd, const char* end) {
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = '\0';
  return ends_with(path, end);
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

ssize_t write(int fd, const void* data, size_t size) {
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
  FAIL_IF("rename", is_new_cache(from));
  return REAL(rename)(from, to);
}

int futimens(int fd, const struct timespec times[2]) {
  FAIL_IF("futimens", is_open_on_new_cache(fd));
  return REAL(futimens)(fd, times);
}

int fchmod(int fd, mode_t mode) {
  FAIL_IF("fchmod", is_open_on_new_cache(fd));
  return REAL(fchmod)(fd, mode);
}

int link(const char* from, const char* to) {
  FAIL_IF("link", 1);
  return REAL(link)(from, to);
}

ssize_t read(int fd, void* data, size_t size) {
  FAIL_IF("read", is_open_on(fd, ".nocae"));
  return REAL(read)(fd, data, size);
}

/* Programs that are compiled for large files call the second function. */
ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  FAIL_IF("read", is_open_on(fd, ".nocae"));
  return REAL(pread)(fd, data, size, offset);
}

ssize_t pread64(int fd, void* data, size_t size, off64_t offset) {
  FAIL_IF("read", is_open_on(fd, ".nocae"));
  return REAL(pread64)(fd, data, size, offset);
}
