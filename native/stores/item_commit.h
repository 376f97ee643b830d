// CommitItem: implements SecretStore::Commit for stores that keep a cache in one keyring item,
// which is read and written as a whole.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_ITEM_COMMIT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_ITEM_COMMIT_H_

#include <string>

#include "base/secure_bytes.h"
#include "base/status.h"
#include "stores/commit.h"

namespace stc {

// One keyring item. The methods never throw.
class KeyringItem {
 public:
  virtual ~KeyringItem() = default;

  // Reads the item's text and stamp. Returns kNotFound if there is no item.
  virtual Status Load(SecureBytes* text, std::string* stamp) = 0;
  // Replaces the value of the item that the last Load found.
  virtual Status Replace(const SecureBytes& text) = 0;
  // Creates the item. Returns kNotFound if another program has created one meanwhile.
  virtual Status Create(const SecureBytes& text) = 0;
  // Reads the current stamp.
  virtual Status Stamp(std::string* stamp) = 0;
};

// Reads the item, applies the change and writes it. See SecretStore::Commit. After a write, touches
// the signal file of the request.
Status CommitItem(const CommitRequest& request, KeyringItem* item, LockSet* locks,
                  CommitResult* result);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_ITEM_COMMIT_H_
