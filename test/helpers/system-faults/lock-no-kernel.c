/*
 * A library to preload that simulates a file system without flock and fcntl locks, such as Lustre
 * without the mount option or NFS 3 without its lock daemon.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

int flock(int fd, int operation) {
  (void)fd;
  (void)operation;
  errno = ENOSYS;
  return -1;
}

static int other_command(const char* name, int fd, int command, void* argument) {
  if (command == F_OFD_SETLK) {
    errno = ENOSYS;
    return -1;
  }
  int (*const real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
  return real(fd, command, argument);
}

/* Programs that are compiled for large files call the second function. */
#define WITHOUT_LOCKS(name)                       \
  int name(int fd, int command, ...) {            \
    va_list rest;                                 \
    va_start(rest, command);                      \
    void* const argument = va_arg(rest, void*);   \
    va_end(rest);                                 \
    return other_command(#name, fd, command, argument); \
  }

WITHOUT_LOCKS(fcntl)
WITHOUT_LOCKS(fcntl64)
