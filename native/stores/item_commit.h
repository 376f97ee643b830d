// CommitItem: SecretStore::Commit for stores that keep a cache in one item of a keyring, which is
// read and written whole.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_ITEM_COMMIT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_ITEM_COMMIT_H_

#include <string>

#include "base/secure_bytes.h"
#include "base/status.h"
#include "stores/commit.h"

namespace stc {

// One item of a keyring. Its methods never throw.
class KeyringItem {
 public:
  virtual ~KeyringItem() = default;

  // Reads it: `*text` and the stamp that goes with it. kNotFound if there is none.
  virtual Status Load(SecureBytes* text, std::string* stamp) = 0;
  // Exchanges what the item of the last Load holds.
  virtual Status Replace(const SecureBytes& text) = 0;
  // Makes it. kNotFound if somebody else just did.
  virtual Status Create(const SecureBytes& text) = 0;
  // The stamp as it is now.
  virtual Status Stamp(std::string* stamp) = 0;
};

// One read, comparison and write. See SecretStore::Commit. The request's signal file is touched
// after a write.
Status CommitItem(const CommitRequest& request, KeyringItem* item, LockSet* locks,
                  CommitResult* result);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_ITEM_COMMIT_H_
