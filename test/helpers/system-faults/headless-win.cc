// Starts itself a second time, waits for that child, and prints the result of WaitForSingleObject
// (0 on success). The child's first thread ends through Linux' exit system call, without Wine's
// knowledge, while another thread sleeps.

#include <windows.h>

#include <cstdio>
#include <string>
#include <thread>

int main(int count, char** values) {
  if (count > 1) {
    std::thread other([] { Sleep(INFINITE); });
    // exit, which ends this thread only. Source: Linux, arch/x86/entry/syscalls/syscall_64.tbl.
    asm volatile("syscall" : : "a"(60), "D"(0) : "rcx", "r11", "memory");
    return 1;
  }
  std::string command = "\"" + std::string(values[0]) + "\" headless";
  STARTUPINFOA start = {};
  start.cb = sizeof start;
  PROCESS_INFORMATION child;
  if (!CreateProcessA(nullptr, command.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &start,
                      &child)) {
    return 2;
  }
  std::printf("%lu\n", WaitForSingleObject(child.hProcess, INFINITE));
  return 0;
}
