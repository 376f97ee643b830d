/* A library to preload that simulates a file system without hard links, such as FAT. */

#include <errno.h>

int link(const char* from, const char* to) {
  (void)from;
  (void)to;
  errno = EPERM;
  return -1;
}
