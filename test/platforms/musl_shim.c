// Functions of glibc that Debian's libstdc++ needs and musl lacks. For tests only.

#include <stdint.h>
#include <sys/random.h>

char __libc_single_threaded = 0;

uint32_t arc4random(void) {
  uint32_t value = 0;
  (void)!getrandom(&value, sizeof(value), 0);
  return value;
}

// -1 means not found. Bun throws no C++ exceptions, and the addon contains its own unwinder.
int _dl_find_object(void* address, void* result) {
  (void)address;
  (void)result;
  return -1;
}

// libgcc on arm64 calls it by its other name in glibc.
unsigned long getauxval(unsigned long type);

unsigned long __getauxval(unsigned long type) { return getauxval(type); }
