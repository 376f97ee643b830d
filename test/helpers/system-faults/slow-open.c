// A library to preload that delays each file lookup by 20 ms, as a virus scanner may.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <time.h>

// Source: include/uapi/asm-generic/unistd.h of Linux.
static const long openat2 = 437;

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long arguments[6];
  for (int i = 0; i < 6; ++i) arguments[i] = va_arg(list, long);
  va_end(list);
  if (number == openat2) {
    const struct timespec delay = {0, 20 * 1000 * 1000};
    nanosleep(&delay, 0);
  }
  long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
              arguments[5]);
}
