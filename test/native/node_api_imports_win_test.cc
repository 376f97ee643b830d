// Tests where the released addon finds the functions of Node-API in a program that is not node.exe.
// The addon and a libnode.dll that exports all of them are in the same directory: see
// scripts/test-windows.mjs.

#include "base/windows_api.h"
#include "tap.h"

namespace {

std::wstring Beside(const wchar_t* name) {
  wchar_t program[MAX_PATH];
  GetModuleFileNameW(nullptr, program, MAX_PATH);
  const std::wstring path(program);
  return path.substr(0, path.rfind(L'\\') + 1) + name;
}

}  // namespace

TEST(Nowhere, "the addon does not load if a function of Node-API is missing") {
  const HMODULE addon = LoadLibraryW(Beside(L"addon.node").c_str());
  const DWORD error = GetLastError();
  EXPECT(addon == nullptr);
  EXPECT_WITH(error == ERROR_DLL_INIT_FAILED, std::to_string(error));
  if (addon != nullptr) FreeLibrary(addon);
}

TEST(Library, "if Node is a library, the functions come from that library") {
  const HMODULE library = LoadLibraryW(Beside(L"libnode.dll").c_str());
  EXPECT(library != nullptr);
  const HMODULE addon = LoadLibraryW(Beside(L"addon.node").c_str());
  EXPECT_WITH(addon != nullptr, std::to_string(GetLastError()));
  if (addon == nullptr) return;
  EXPECT(GetProcAddress(addon, "napi_register_module_v1") != nullptr);
  FreeLibrary(addon);
}

int wmain() { return tap::RunAll(); }
