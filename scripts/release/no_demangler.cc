// libc++abi's last words about an uncaught exception name its type in readable form, and for that
// pull in a demangler that is a fifth of the whole addon. Node prints a report of its own. With
// this definition the archive's is not linked, and the type's name is printed as the compiler wrote
// it.

#include <cstddef>

extern "C" char* __cxa_demangle(const char* /*name*/, char* /*buffer*/, std::size_t* /*length*/,
                                int* status) {
  constexpr int kInvalidName = -2;
  if (status != nullptr) {
    *status = kInvalidName;
  }
  return nullptr;
}
