#include <limits>

#include "base/wide_path.h"
#include "base/win32_status.h"
#include "base/windows_api.h"

namespace stc {

namespace {

constexpr size_t kMaxInt = std::numeric_limits<int>::max();

bool StartsWith(std::wstring_view text, std::wstring_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// Returns false and sets `*error` if `text` is not UTF-8, is empty or contains a NUL.
bool Widen(const std::string& text, std::wstring* wide, DWORD* error) {
  *error = ERROR_INVALID_NAME;
  if (text.empty() || text.size() > kMaxInt || text.find('\0') != std::string::npos) return false;
  const int size = static_cast<int>(text.size());
  const int length =
      MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, nullptr, 0);
  if (length <= 0) {
    *error = GetLastError();
    return false;
  }
  wide->resize(static_cast<size_t>(length));
  MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), size, wide->data(), length);
  return true;
}

}  // namespace

Status WidenPath(const std::string& path, std::wstring* wide) {
  std::wstring given;
  DWORD error = 0;
  if (!Widen(path, &given, &error)) return Win32Status("MultiByteToWideChar", path, error);
  if (StartsWith(given, L"\\\\?\\") || StartsWith(given, L"\\\\.\\")) {
    *wide = std::move(given);
    return Status::Ok();
  }
  // Windows does not resolve slashes, "." and ".." after the prefix, so resolve them now.
  const DWORD size = GetFullPathNameW(given.c_str(), 0, nullptr, nullptr);
  std::wstring full(size, L'\0');
  const DWORD length = size == 0 ? 0 : GetFullPathNameW(given.c_str(), size, full.data(), nullptr);
  // `length` is too large if the current directory changed between the calls.
  if (length == 0 || length >= size) {
    return Win32Status("GetFullPathNameW", path, length == 0 ? GetLastError() : ERROR_RETRY);
  }
  full.resize(length);
  if (StartsWith(full, L"\\\\.\\") || StartsWith(full, L"\\\\?\\")) {
    // A device, such as NUL, or a prefix written with slashes.
    *wide = std::move(full);
  } else if (StartsWith(full, L"\\\\")) {
    *wide = L"\\\\?\\UNC" + full.substr(1);
  } else {
    *wide = L"\\\\?\\" + full;
  }
  return Status::Ok();
}

std::string Narrow(std::wstring_view wide) {
  if (wide.empty() || wide.size() > kMaxInt) return {};
  const int length = static_cast<int>(wide.size());
  const int size =
      WideCharToMultiByte(CP_UTF8, 0, wide.data(), length, nullptr, 0, nullptr, nullptr);
  if (size <= 0) return {};
  std::string text(static_cast<size_t>(size), '\0');
  WideCharToMultiByte(CP_UTF8, 0, wide.data(), length, text.data(), size, nullptr, nullptr);
  return text;
}

}  // namespace stc
