// What errors of DPAPI are taken for. Wine's knows one of them alone, so they are given here.

#include "stores/dpapi_status_win.h"

#include "tap.h"
#include "base/windows_api.h"
// Behind the others: it needs what they include.
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

TEST(Damaged, "a blob that is damaged is corrupt, and to be deleted") {
  for (const uint32_t error :
       {uint32_t{ERROR_INVALID_DATA}, uint32_t{ERROR_INVALID_PARAMETER}, uint32_t{0x8007000D},
        uint32_t{0x80070057}, static_cast<uint32_t>(NTE_BAD_ALGID),
        static_cast<uint32_t>(NTE_BAD_DATA), static_cast<uint32_t>(NTE_BAD_LEN)}) {
    const Status status = FailureOf(error);
    EXPECT_WITH(status.code() == StatusCode::kCacheCorrupt, std::to_string(error));
    EXPECT_WITH(SaysDelete(status), status.message());
  }
}

TEST(Passing, "what fails for want of memory or of a device says nothing of the blob") {
  // NTE_NO_MEMORY, NTE_FAIL, NTE_INTERNAL_ERROR, NTE_DEVICE_NOT_READY, and memory without DPAPI.
  for (const uint32_t error : {0x8009000Eu, 0x80090020u, 0x8009002Du, 0x80090030u, 0x8007000Eu,
                               uint32_t{ERROR_NOT_ENOUGH_MEMORY}}) {
    const Status status = FailureOf(error);
    EXPECT_WITH(status.code() == StatusCode::kIo, std::to_string(error));
    EXPECT_WITH(!SaysDelete(status), status.message());
  }
}

TEST(Results, "an error that comes as an HRESULT is the error in it") {
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

TEST(Others, "keys of another user, of a profile that is not loaded, and of a prompt") {
  EXPECT(FailureOf(static_cast<uint32_t>(NTE_BAD_KEY_STATE)).code() == StatusCode::kStoreDenied);
  EXPECT(FailureOf(static_cast<uint32_t>(SEC_E_DELEGATION_REQUIRED)).code() ==
         StatusCode::kStoreUnavailable);
  EXPECT(FailureOf(static_cast<uint32_t>(NTE_SILENT_CONTEXT)).code() == StatusCode::kStoreLocked);
  EXPECT(FailureOf(ERROR_PASSWORD_RESTRICTION).code() == StatusCode::kStoreLocked);
}

int wmain() { return tap::RunAll(); }
