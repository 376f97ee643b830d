#include "stores/dpapi_status_win.h"

#include "base/win32_status.h"
#include "base/windows_api.h"
// Last, because it needs the types that the headers above declare.
#include <wincrypt.h>

namespace stc {

namespace {

Status DpapiStatus(StatusCode code, const char* operation, const std::string& path, DWORD error,
                   const char* what) {
  return Status(code, operation, "win32", error, path + ": " + what);
}

// Whether the error may be caused by the content of the blob. In a damaged blob, the algorithm,
// size or version can be invalid.
bool IsAboutBytes(DWORD error) {
  // Error codes of cryptographic providers. Source: winerror.h of the Windows SDK, NTE_*.
  const bool is_of_provider = (error & 0xFFFFFF00) == 0x80090000;
  return is_of_provider || error == ERROR_INVALID_DATA || error == ERROR_INVALID_PARAMETER;
}

// Newer versions of Windows return some system errors as an HRESULT. Source: HRESULT_FROM_WIN32 in
// winerror.h of the Windows SDK.
DWORD WithoutFacility(DWORD error) {
  return (error & 0xFFFF0000) == 0x80070000 ? error & 0xFFFF : error;
}

}  // namespace

Status DpapiFailure(const char* operation, const std::string& path, uint32_t result) {
  const DWORD error = WithoutFacility(result);
  switch (error) {
    case static_cast<DWORD>(NTE_BAD_KEY_STATE):
    case static_cast<DWORD>(NTE_BAD_KEY):
      return DpapiStatus(StatusCode::kStoreDenied, operation, path, error,
                         "encrypted by another user or on another machine, or before an "
                         "administrator reset this user's password. Run as the user who signed in. "
                         "If you already do, delete the file and sign in again.");
    // DPAPI keeps the user's keys in the profile.
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_NO_SUCH_LOGON_SESSION:
      return DpapiStatus(
          StatusCode::kStoreUnavailable, operation, path, error,
          "the keys of this user are not available, because the user's profile is not loaded. Load "
          "it, for instance with loadUserProfile of an application pool or LOGON_WITH_PROFILE, or "
          "use another credential.");
    case static_cast<DWORD>(SEC_E_DELEGATION_REQUIRED):
      return DpapiStatus(StatusCode::kStoreUnavailable, operation, path, error,
                         "this session, such as a network logon, has no credentials that unlock "
                         "the user's keys. Log on locally or with delegated credentials.");
    case static_cast<DWORD>(NTE_SILENT_CONTEXT):
    case ERROR_PASSWORD_RESTRICTION:
      return DpapiStatus(StatusCode::kStoreLocked, operation, path, error,
                         "encrypted so that Windows must ask the user first. Delete the file "
                         "and sign in again.");
    // Errors of the provider that do not depend on the blob.
    case static_cast<DWORD>(NTE_NO_MEMORY):
    case static_cast<DWORD>(NTE_FAIL):
    case static_cast<DWORD>(NTE_INTERNAL_ERROR):
    case static_cast<DWORD>(NTE_DEVICE_NOT_READY):
      return DpapiStatus(
          StatusCode::kIo, operation, path, error,
          "DPAPI failed with an internal error that may be temporary. Try again; if that "
          "does not help, restart Windows.");
    default:
      break;
  }
  if (IsAboutBytes(error)) {
    return DpapiStatus(StatusCode::kCacheCorrupt, operation, path, error,
                       "DPAPI cannot decrypt it: it is damaged, or was encrypted by another user "
                       "or on another machine. Run as the user who signed in. If you already do, "
                       "delete the file and sign in again.");
  }
  return Win32Status(operation, path, error);
}

}  // namespace stc
