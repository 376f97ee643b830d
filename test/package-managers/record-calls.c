// A library to preload that writes a line to the file named by STC_CALLS for every started program
// and every network call.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static void record(const char* call, const char* what) {
  const char* path = getenv("STC_CALLS");
  char line[512];
  if (path == NULL) return;
  const int length = snprintf(line, sizeof line, "%s %s\n", call, what);
  const size_t size = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
  // A single append, so that lines of several processes do not mix.
  const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  // An event that cannot be recorded must not go unnoticed.
  if (file < 0 || write(file, line, size) != (ssize_t)size) abort();
  close(file);
}

int execve(const char* path, char* const args[], char* const env[]) {
  record("start", path);
  return NEXT(execve)(path, args, env);
}

int execv(const char* path, char* const args[]) {
  record("start", path);
  return NEXT(execv)(path, args);
}

int execvp(const char* path, char* const args[]) {
  record("start", path);
  return NEXT(execvp)(path, args);
}

int execvpe(const char* path, char* const args[], char* const env[]) {
  record("start", path);
  return NEXT(execvpe)(path, args, env);
}

int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const args[], char* const env[]) {
  record("start", path);
  return NEXT(posix_spawn)(pid, path, actions, attributes, args, env);
}

int posix_spawnp(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                 const posix_spawnattr_t* attributes, char* const args[], char* const env[]) {
  record("start", path);
  return NEXT(posix_spawnp)(pid, path, actions, attributes, args, env);
}

int connect(int socket, const struct sockaddr* address, socklen_t size) {
  if (address->sa_family != AF_UNIX) record("network", "connect");
  return NEXT(connect)(socket, address, size);
}

int getaddrinfo(const char* node, const char* service, const struct addrinfo* hints,
                struct addrinfo** result) {
  record("network", "getaddrinfo");
  return NEXT(getaddrinfo)(node, service, hints, result);
}
