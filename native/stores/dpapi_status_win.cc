#include "stores/dpapi_status_win.h"

#include <cstring>

#include "base/windows_api.h"
// Last, because it needs the types that the headers above declare.
#include <wincrypt.h>

namespace stc {

namespace {

Status DpapiStatus(StatusCode code, const char* operation, const std::string& path, DWORD error,
                   const char* what) {
  return Status(code, operation, "win32", error, path + ": " + what);
}

// Whether the error says something about the content of the blob. In a damaged blob, the algorithm,
// size, version or flags can be invalid; our own flags are not. A code that is missing here costs a
// worse text; one too many would have a user delete a cache that is intact.
bool IsAboutBytes(DWORD error) {
  // Source: winerror.h of the Windows SDK.
  switch (error) {
    case ERROR_INVALID_DATA:
    case ERROR_INVALID_PARAMETER:
    case static_cast<DWORD>(NTE_BAD_HASH):
    case static_cast<DWORD>(NTE_BAD_LEN):
    case static_cast<DWORD>(NTE_BAD_DATA):
    case static_cast<DWORD>(NTE_BAD_SIGNATURE):
    case static_cast<DWORD>(NTE_BAD_VER):
    case static_cast<DWORD>(NTE_BAD_ALGID):
    case static_cast<DWORD>(NTE_BAD_TYPE):
    case static_cast<DWORD>(NTE_BAD_FLAGS):
    case static_cast<DWORD>(NTE_NO_KEY):
      return true;
    default:
      return false;
  }
}

// Newer versions of Windows return some system errors as an HRESULT. Source: HRESULT_FROM_WIN32 in
// winerror.h of the Windows SDK.
DWORD WithoutFacility(DWORD error) {
  return (error & 0xFFFF0000) == 0x80070000 ? error & 0xFFFF : error;
}

}  // namespace

Status DpapiFailure(const char* operation, const std::string& path, uint32_t result) {
  const DWORD error = WithoutFacility(result);
  const auto failed = [&](StatusCode code, const char* what) {
    return DpapiStatus(code, operation, path, error, what);
  };
  switch (error) {
    // DPAPI keeps the user's keys in the profile. A service without one gets the codes of the key
    // store. Source: openiddict-core issue 204, corefx issue 28631.
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_NO_SUCH_LOGON_SESSION:
    case static_cast<DWORD>(NTE_TEMPORARY_PROFILE):
    case static_cast<DWORD>(NTE_BAD_KEYSET):
    case static_cast<DWORD>(NTE_KEYSET_NOT_DEF):
    case static_cast<DWORD>(NTE_NOT_FOUND):
      return failed(
          StatusCode::kStoreUnavailable,
          "the keys of this user are not available, because the user's profile is not loaded. Load "
          "it, for instance with loadUserProfile of an application pool or LOGON_WITH_PROFILE, or "
          "use another credential.");
    case static_cast<DWORD>(SEC_E_DELEGATION_REQUIRED):
      return failed(StatusCode::kStoreUnavailable,
                    "this session, such as a network logon, has no credentials that unlock "
                    "the user's keys. Log on locally or with delegated credentials.");
    case ERROR_NO_LOGON_SERVERS:
    case ERROR_LOGON_FAILURE:
      return failed(StatusCode::kStoreUnavailable,
                    "the password of this user has changed, and no domain controller can be asked "
                    "for the old keys. Connect to the network of the domain, and log on again.");
    case RPC_S_SERVER_UNAVAILABLE:
    case RPC_S_CALL_FAILED:
      return failed(StatusCode::kStoreUnavailable,
                    "the Local Security Authority of Windows, which keeps the keys, does not "
                    "answer. Try again; if that does not help, restart Windows.");
    case ERROR_ACCESS_DENIED:
    case static_cast<DWORD>(NTE_PERM):
      return failed(StatusCode::kStoreDenied,
                    "Windows denies this program the user's keys. Run as the user who signed in, "
                    "with his profile.");
    case static_cast<DWORD>(NTE_SILENT_CONTEXT):
    case ERROR_PASSWORD_RESTRICTION:
      return failed(StatusCode::kStoreLocked,
                    "encrypted so that Windows must ask the user first. Delete the file "
                    "and sign in again.");
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case static_cast<DWORD>(NTE_NO_MEMORY):
      return failed(StatusCode::kIo, "DPAPI had too little memory. End other programs.");
    default:
      break;
  }
  const bool is_encrypting = std::strcmp(operation, "CryptProtectData") == 0;
  const bool is_key =
      error == static_cast<DWORD>(NTE_BAD_KEY_STATE) || error == static_cast<DWORD>(NTE_BAD_KEY);
  if (is_key && !is_encrypting) {
    return failed(StatusCode::kStoreDenied,
                  "encrypted by another user or on another machine, or before an "
                  "administrator reset this user's password. Run as the user who signed in. "
                  "If you already do, delete the file and sign in again.");
  }
  if (IsAboutBytes(error) && !is_encrypting) {
    return failed(StatusCode::kCacheCorrupt,
                  "DPAPI cannot decrypt it: it is damaged, or was encrypted by another user "
                  "or on another machine. Run as the user who signed in. If you already do, "
                  "delete the file and sign in again.");
  }
  // Others, such as NTE_FAIL or a cryptographic provider that does not load, do not depend on the
  // file.
  return failed(StatusCode::kIo,
                is_encrypting
                    ? "DPAPI cannot encrypt it. Try again; if that does not help, restart Windows."
                    : "DPAPI failed with an error that may be temporary. Try again; if that does "
                      "not help, restart Windows.");
}

}  // namespace stc
