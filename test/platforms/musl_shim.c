// What Debian's libstdc++, compiled for glibc, asks for and musl does not have. For tests alone.

#include <stdint.h>
#include <sys/random.h>

char __libc_single_threaded = 0;

uint32_t arc4random(void) {
  uint32_t value = 0;
  (void)!getrandom(&value, sizeof(value), 0);
  return value;
}

// -1: not found. Bun throws no C++ exceptions, and the addon brings its own unwinder.
int _dl_find_object(void* address, void* result) {
  (void)address;
  (void)result;
  return -1;
}

// For libgcc on arm64, where glibc has it under two names.
unsigned long getauxval(unsigned long type);

unsigned long __getauxval(unsigned long type) { return getauxval(type); }
