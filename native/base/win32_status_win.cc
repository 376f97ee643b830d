#include "base/wide_path.h"
#include "base/win32_status.h"
#include "base/windows_api.h"

namespace stc {

namespace {

// Some SDKs do not define it. Source: ERROR_DISK_QUOTA_EXCEEDED in winerror.h of the Windows SDK.
constexpr DWORD kDiskQuotaExceeded = 1295;

const char* AdviceFor(DWORD error) {
  switch (error) {
    case ERROR_ACCESS_DENIED:
    case ERROR_PRIVILEGE_NOT_HELD:
      return "Run as the user who signed in, or correct the file's owner and permissions.";
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
      return "Its directory is missing: make it, or correct the path.";
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
    case kDiskQuotaExceeded:
      return "Free some disk space.";
    case ERROR_TOO_MANY_OPEN_FILES:
      return "Too many files are open: close some.";
    case ERROR_WRITE_PROTECT:
      return "Make the volume writable, or set tokenCachePersistenceOptions.readOnly.";
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
    case ERROR_USER_MAPPED_FILE:
    case ERROR_DELETE_PENDING:
      return "Close the program that has it open.";
    default:
      return "Check the file and its file system.";
  }
}

// Returns one line in the user's language, or the number if Windows has no text for it.
std::string TextOf(DWORD error) {
  wchar_t buffer[512];
  constexpr DWORD kFlags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
                           // Line breaks become spaces.
                           FORMAT_MESSAGE_MAX_WIDTH_MASK;
  const DWORD length =
      FormatMessageW(kFlags, nullptr, error, 0, buffer, ARRAYSIZE(buffer), nullptr);
  std::wstring_view text(buffer, length);
  while (!text.empty() && (text.back() == L' ' || text.back() == L'.')) text.remove_suffix(1);
  return text.empty() ? "error " + std::to_string(error) : Narrow(text);
}

}  // namespace

Status Win32Status(const char* operation, const std::string& path, uint32_t error) {
  const bool is_denied = error == ERROR_ACCESS_DENIED || error == ERROR_PRIVILEGE_NOT_HELD;
  return Status(is_denied ? StatusCode::kStoreDenied : StatusCode::kIo, operation, "win32", error,
                path + ": " + TextOf(error) + ". " + AdviceFor(error));
}

}  // namespace stc
