#include <dlfcn.h>

#include "base/keep_loaded.h"

namespace stc {

// Release binaries for Linux are also linked with -z nodelete, which has the same effect.
void KeepLoaded() {
  static const bool is_kept = [] {
    Dl_info info;
    return dladdr(reinterpret_cast<const void*>(&KeepLoaded), &info) != 0 &&
           dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) != nullptr;
  }();
  (void)is_kept;
}

}  // namespace stc
