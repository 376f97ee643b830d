// SecretStore: a mechanism that stores caches. Each one is implemented in
// native/stores/<name>_<os>.cc. The suffix decides on which system it is compiled, and
// REGISTER_STORE adds it to the list. To add a store, add one file.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_SECRET_STORE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_SECRET_STORE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "base/status.h"
#include "io/byte_source.h"
#include "stores/commit.h"

namespace stc {

// Identifies one cache of a store. A store ignores the fields that it does not use. Same shape as
// StoreLocation in src/backend/backend.ts.
struct StoreLocation {
  std::string path;  // absolute, UTF-8
  std::string schema;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<std::string> absent_attributes;
  // Fail if the user would have to be asked.
  bool no_prompts = false;
};

// Time limits of a call.
struct CallLimits {
  Deadline deadline;
  // Never null. The caller owns it, and keeps it until the call returns.
  Cancellation* cancellation;
};

// Contract of all methods:
// - They are thread-safe and never throw.
// - They return kNotFound if the cache was never written, which is not an error.
// - They never show a prompt, except Open of the Keychain, where macOS asks the user who may read
//   an item. They never unlock anything. Only Commit changes something.
// - They return kStoreTimeout shortly after the deadline at the latest, and at once after
//   cancellation, even if the other side does not answer.
class SecretStore {
 public:
  virtual ~SecretStore() = default;

  // Same name as in src/backend/backend.ts.
  virtual const char* name() const = 0;

  // Whether a call may block until its deadline. Such calls must not run on the shared thread pool.
  virtual bool may_stall() const { return false; }

  // Tests in microseconds, without asking a service, whether the mechanism can exist on this
  // machine. If it returns an error, all other calls would fail with the same error.
  virtual Status Probe() const { return Status::Ok(); }

  // Opens the plaintext of the cache for one read from its start. `*source` does not depend on the
  // store, and wipes its content.
  virtual Status Open(const StoreLocation& at, const CallLimits& limits,
                      std::unique_ptr<ByteSource>* source) const = 0;

  // Same as Open, but for the event loop's thread. Returns false and does nothing if Open or
  // reading the source could block, or if there is an error, which Open then returns.
  virtual bool OpenNow(const StoreLocation& /*at*/, Status* /*status*/,
                       std::unique_ptr<ByteSource>* /*source*/) const {
    return false;
  }

  // Returns a string that changes whenever the cache may have been written, without reading a
  // secret. It is equal to stamp() of a source that was opened in the same state.
  virtual Status Stamp(const StoreLocation& at, const CallLimits& limits,
                       std::string* stamp) const = 0;

  // Same as Stamp, with the conditions of OpenNow.
  virtual bool StampNow(const StoreLocation& /*at*/, Status* /*status*/,
                        std::string* /*stamp*/) const {
    return false;
  }

  // Applies `request.change` to the current content of the cache. The caller holds the request's
  // lock files in `locks`. Returns kOk with an outcome, or the error of reading or writing, in
  // which case the cache is unchanged. Never returns kNotFound.
  virtual Status Commit(const StoreLocation& at, const CommitRequest& request,
                        const CallLimits& limits, LockSet* locks, CommitResult* result) const = 0;
};

// All stores of this platform, in order of rank. Does not change after the addon is loaded.
const std::vector<const SecretStore*>& RegisteredStores();

namespace internal {
bool RegisterStore(const SecretStore* store, int rank);
}

// Registers one process-wide instance of `Type`. The list is sorted by ascending rank.
#define REGISTER_STORE(Type, rank)                          \
  [[maybe_unused]] static const bool registered_##Type##_ = \
      ::stc::internal::RegisterStore(new Type(), (rank))

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_SECRET_STORE_H_
