/* Preloaded: a process whose other thread starts a program while a lock file is being judged, which is renamed to take it away. Until the
   child executes its program, here for three seconds, it has all files open that its parent had. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int rename(const char* from, const char* to) {
  int (*const real)(const char*, const char*) = (int (*)(const char*, const char*))dlsym(RTLD_NEXT, "rename");
  if (fork() == 0) {
    sleep(3);
    _exit(0);
  }
  return real(from, to);
}
