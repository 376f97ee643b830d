#include "stores/keychain_status_mac.h"

#include "stores/keychain_api_mac.h"

namespace stc {

Status KeychainStatus(const char* operation, int32_t code) {
  const auto failed = [&](StatusCode status, const char* message) {
    return Status(status, operation, kKeychainDomain, code, message);
  };
  switch (code) {
    case errSecSuccess:
      return Status::Ok();
    case errSecItemNotFound:
      return Status::NotFound();
    case errSecInteractionNotAllowed:
    case errSecInteractionRequired:
    case errSecInDarkWake:
      return failed(StatusCode::kStoreLocked,
                    "The keychain is locked, or must ask the user, which is not possible here. Run "
                    "security unlock-keychain, or choose Always Allow when macOS asks.");
    case errSecUserCanceled:
      return failed(StatusCode::kStoreDenied,
                    "The user refused access to the keychain item. Try again in a minute, and "
                    "choose Always Allow.");
    case errSecAuthFailed:
    case errSecNoAccessForItem:
      return failed(StatusCode::kStoreDenied,
                    "The keychain refuses this program. Add it to the access control of the item "
                    "in Keychain Access, or sign in again.");
    case errSecReadOnly:
      return failed(StatusCode::kStoreDenied,
                    "The keychain cannot be written. Check its permissions in Keychain Access.");
    case errSecNoSuchKeychain:
    case errSecNoDefaultKeychain:
    case errSecInvalidKeychain:
    case errSecNotAvailable:
      return failed(StatusCode::kStoreUnavailable,
                    "There is no keychain. Run in a session of the user who signed in, or create a "
                    "login keychain in Keychain Access.");
    case errSecAllocate:
      return failed(StatusCode::kIo, "Out of memory.");
    case errSecDataTooLarge:
      return failed(StatusCode::kIo,
                    "The cache is too large for the keychain. Sign out of accounts that are not "
                    "used any more.");
    default:
      return failed(
          StatusCode::kIo,
          "The keychain failed. Run security error with this number to see what it means.");
  }
}

}  // namespace stc
