// Replaces the demangler of libc++abi, which is linked statically into zig's binaries. libc++abi
// calls it only to print the type of an uncaught exception. Its 110 KB are more than the limit for
// a binary allows.

#include <cstddef>

extern "C" char* __cxa_demangle(const char* /*name*/, char* /*buffer*/, std::size_t* /*length*/,
                                int* status) {
  constexpr int kInvalidName = -2;
  if (status != nullptr) {
    *status = kInvalidName;
  }
  return nullptr;
}
