#include "base/wide_path.h"
#include "base/win32_status.h"
#include "base/windows_api.h"
#include "io/known_folder.h"

namespace stc {

namespace {

// Source: FOLDERID_LocalAppData and KF_FLAG_DONT_VERIFY in KnownFolders.h and ShlObj_core.h of the
// Windows SDK.
constexpr GUID kLocalAppData = {
    0xF1B32785, 0x6FBA, 0x4FCF, {0x9D, 0x55, 0x7B, 0x8E, 0x7F, 0x15, 0x70, 0x91}};
constexpr DWORD kDontVerify = 0x4000;

using GetKnownFolderPath = HRESULT(WINAPI*)(const GUID&, DWORD, HANDLE, wchar_t**);
using FreeTaskMemory = void(WINAPI*)(void*);

// Loads a function of a system library. Returns null and sets `*error` on failure. Loaded on
// demand, because shell32 loads many other libraries and few processes need it. Never unloads.
template <typename Function>
Function FromSystem(const wchar_t* library, const char* name, DWORD* error) {
  const HMODULE module = LoadLibraryExW(library, nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
  const FARPROC found = module == nullptr ? nullptr : GetProcAddress(module, name);
  if (found == nullptr) *error = GetLastError();
  return reinterpret_cast<Function>(reinterpret_cast<void*>(found));
}

}  // namespace

Status FindLocalAppData(std::string* path) {
  DWORD error = ERROR_SUCCESS;
  const auto get = FromSystem<GetKnownFolderPath>(L"shell32.dll", "SHGetKnownFolderPath", &error);
  if (get == nullptr) return Win32Status("LoadLibraryExW", "shell32.dll", error);
  const auto free = FromSystem<FreeTaskMemory>(L"ole32.dll", "CoTaskMemFree", &error);
  if (free == nullptr) return Win32Status("LoadLibraryExW", "ole32.dll", error);
  wchar_t* found = nullptr;
  const HRESULT result = get(kLocalAppData, kDontVerify, nullptr, &found);
  if (SUCCEEDED(result) && found != nullptr) *path = Narrow(found);
  // Must be freed on failure, too. Source: Windows documentation, SHGetKnownFolderPath.
  free(found);
  return SUCCEEDED(result) && !path->empty()
             ? Status::Ok()
             : Win32Status("SHGetKnownFolderPath", "FOLDERID_LocalAppData",
                           static_cast<uint32_t>(result) & 0xFFFF);
}

}  // namespace stc
