// Reads, writes and creates generic password items of the macOS login keychain. Each function may
// block until the user has answered a question.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_ITEM_MAC_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_ITEM_MAC_H_

#include <functional>
#include <string>
#include <tuple>

#include "base/secure_bytes.h"
#include "base/status.h"

namespace stc {

struct KeychainItemName {
  std::string service;
  std::string account;

  bool operator<(const KeychainItemName& other) const {
    return std::tie(service, account) < std::tie(other.service, other.account);
  }
};

// Content of an item.
struct KeychainReading {
  // Empty if the value was not asked for.
  SecureBytes text;
  // The dates of creation and of the last change.
  std::string stamp;
  // Unix time in milliseconds, with a resolution of 1 s. 0 if the keychain does not return it.
  double modified_ms = 0;
};

// Reads the item's dates and, if `with_value`, its value. Returns kNotFound if there is no such
// item.
Status ReadKeychainItem(const KeychainItemName& name, bool with_value, KeychainReading* reading);

// Replaces the value of the item if its stamp is still `stamp`. Asks `may_write` right before the
// write. Returns kNotFound if another program has changed the item, or `may_write` returns false.
Status ReplaceKeychainItem(const KeychainItemName& name, const std::string& stamp,
                           const SecureBytes& text, const std::function<bool()>& may_write);

// Creates the item. Returns kNotFound if another program has created it, or `may_write` returns
// false.
Status AddKeychainItem(const KeychainItemName& name, const SecureBytes& text,
                       const std::function<bool()>& may_write);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_KEYCHAIN_ITEM_MAC_H_
