#include "base/keep_loaded.h"
#include "base/windows_api.h"

namespace stc {

void KeepLoaded() {
  static const bool is_kept = [] {
    HMODULE module = nullptr;
    return GetModuleHandleExW(
               GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
               reinterpret_cast<LPCWSTR>(&KeepLoaded), &module) != 0;
  }();
  (void)is_kept;
}

}  // namespace stc
