/*
 * A library to preload that simulates a thread which starts a program while another thread takes
 * over a stale lock file by renaming it. Until the child calls exec, after three seconds here, it
 * has inherited all open files of its parent.
 */

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
