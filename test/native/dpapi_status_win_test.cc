// Tests the conversion of DPAPI errors to statuses. Wine's DPAPI returns only one kind of error, so
// that the test passes the codes itself.

#include "stores/dpapi_status_win.h"

#include "base/windows_api.h"
#include "tap.h"
// Last, because it needs the types that the headers above declare.
#include <wincrypt.h>

using stc::Status;
using stc::StatusCode;

namespace {

Status FailureOf(uint32_t error) {
  Status status = stc::DpapiFailure("CryptUnprotectData", "C:\\msal.cache", error);
  EXPECT(status.operation() == "CryptUnprotectData" && status.domain() == "win32");
  EXPECT_WITH(status.message().find("C:\\msal.cache: ") == 0, status.message());
  return status;
}

bool SaysDelete(const Status& status) {
  return status.message().find("elete the file") != std::string::npos;
}

}  // namespace

TEST(Damaged, "a damaged blob: kCacheCorrupt, with advice to delete the file") {
  for (const uint32_t error :
       {uint32_t{ERROR_INVALID_DATA}, uint32_t{ERROR_INVALID_PARAMETER}, uint32_t{0x8007000D},
        uint32_t{0x80070057}, static_cast<uint32_t>(NTE_BAD_ALGID),
        static_cast<uint32_t>(NTE_BAD_DATA), static_cast<uint32_t>(NTE_BAD_LEN),
        static_cast<uint32_t>(NTE_BAD_FLAGS)}) {
    const Status status = FailureOf(error);
    EXPECT_WITH(status.code() == StatusCode::kCacheCorrupt, std::to_string(error));
    EXPECT_WITH(SaysDelete(status), status.message());
  }
}

TEST(Passing, "W7: out of memory or no device: kIo, without advice to delete the file") {
  // NTE_NO_MEMORY, NTE_FAIL, NTE_INTERNAL_ERROR, NTE_DEVICE_NOT_READY, NTE_PROV_DLL_NOT_FOUND,
  // NTE_PROVIDER_DLL_FAIL, and two codes for memory shortage that do not come from a provider.
  for (const uint32_t error : {0x8009000Eu, 0x80090020u, 0x8009002Du, 0x80090030u, 0x8009001Eu,
                               0x8009001Du, 0x8007000Eu, uint32_t{ERROR_NOT_ENOUGH_MEMORY}}) {
    const Status status = FailureOf(error);
    EXPECT_WITH(status.code() == StatusCode::kIo, std::to_string(error));
    EXPECT_WITH(!SaysDelete(status), status.message());
  }
}

TEST(Keys, "W7: a key store, service or domain that is missing is no damage") {
  for (const uint32_t error :
       {static_cast<uint32_t>(NTE_TEMPORARY_PROFILE), static_cast<uint32_t>(NTE_BAD_KEYSET),
        static_cast<uint32_t>(NTE_KEYSET_NOT_DEF), static_cast<uint32_t>(NTE_NOT_FOUND),
        uint32_t{ERROR_NO_LOGON_SERVERS}, uint32_t{ERROR_LOGON_FAILURE},
        uint32_t{RPC_S_SERVER_UNAVAILABLE}, uint32_t{RPC_S_CALL_FAILED}}) {
    const Status status = FailureOf(error);
    EXPECT_WITH(status.code() == StatusCode::kStoreUnavailable, std::to_string(error));
    EXPECT_WITH(!SaysDelete(status), status.message());
  }
  const Status denied = FailureOf(static_cast<uint32_t>(NTE_PERM));
  EXPECT_WITH(denied.code() == StatusCode::kStoreDenied && !SaysDelete(denied), denied.message());
}

TEST(Encrypting, "W7: no error of encryption is damage of the file") {
  for (const uint32_t error : {uint32_t{ERROR_INVALID_DATA}, static_cast<uint32_t>(NTE_BAD_DATA),
                               static_cast<uint32_t>(NTE_BAD_KEY_STATE)}) {
    const Status status = stc::DpapiFailure("CryptProtectData", "C:\\msal.cache", error);
    EXPECT_WITH(status.code() == StatusCode::kIo && !SaysDelete(status), status.message());
  }
}

TEST(Results, "an HRESULT is treated as the Windows error it contains") {
  for (const uint32_t error : {uint32_t{ERROR_FILE_NOT_FOUND}, uint32_t{ERROR_PATH_NOT_FOUND},
                               uint32_t{ERROR_NO_SUCH_LOGON_SESSION}}) {
    EXPECT_WITH(FailureOf(error).code() == StatusCode::kStoreUnavailable, std::to_string(error));
    const Status status = FailureOf(0x80070000 | error);
    EXPECT_WITH(status.code() == StatusCode::kStoreUnavailable && status.os_code() == error,
                status.message());
  }
  EXPECT(FailureOf(ERROR_ACCESS_DENIED).code() == StatusCode::kStoreDenied);
  EXPECT(FailureOf(0x80070005).code() == StatusCode::kStoreDenied);
  EXPECT(FailureOf(0x80070000 | ERROR_PASSWORD_RESTRICTION).code() == StatusCode::kStoreLocked);
}

TEST(Others, "keys that are another user's, need a network logon or need a prompt") {
  EXPECT(FailureOf(static_cast<uint32_t>(NTE_BAD_KEY_STATE)).code() == StatusCode::kStoreDenied);
  EXPECT(FailureOf(static_cast<uint32_t>(SEC_E_DELEGATION_REQUIRED)).code() ==
         StatusCode::kStoreUnavailable);
  EXPECT(FailureOf(static_cast<uint32_t>(NTE_SILENT_CONTEXT)).code() == StatusCode::kStoreLocked);
  EXPECT(FailureOf(ERROR_PASSWORD_RESTRICTION).code() == StatusCode::kStoreLocked);
}

int wmain() { return tap::RunAll(); }
