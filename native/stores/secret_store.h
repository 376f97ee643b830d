// SecretStore: where a cache's bytes are kept. One implementation per mechanism, in
// native/stores/<name>_<os>.cc; the suffix decides where it is compiled, REGISTER_STORE makes it
// known. To add a store, add one file.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_SECRET_STORE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_SECRET_STORE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "base/status.h"
#include "io/byte_source.h"
#include "stores/commit.h"

namespace stc {

// Which cache of a store; a store ignores the fields that it does not use. Shape of StoreLocation
// in src/backend/backend.ts.
struct StoreLocation {
  std::string path;  // absolute, UTF-8
  std::string schema;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<std::string> absent_attributes;
  // Fail where the user would have to be asked.
  bool no_prompts = false;
};

// How long a call may take.
struct CallLimits {
  Deadline deadline;
  // Never null. Belongs to the caller, and outlives the call.
  Cancellation* cancellation;
};

// Contract of every method: safe to call from any thread, several at once; never throws; returns
// kNotFound when the cache was never written, which is an ordinary answer; shows no prompt (but for
// Open of a store whose system asks the user who may read: the Keychain), unlocks nothing, changes
// nothing (but for Commit); returns kStoreTimeout no later than shortly after the
// deadline, and at once when cancelled, whatever the other side does.
class SecretStore {
 public:
  virtual ~SecretStore() = default;

  // The store's name in src/backend/backend.ts.
  virtual const char* name() const = 0;

  // Whether a call may take as long as its limits allow, so that it should not take a thread that
  // others wait for.
  virtual bool may_stall() const { return false; }

  // Whether the mechanism is here at all, as far as that can be told in microseconds and without
  // asking anybody: not kOk says that every call would fail just so.
  virtual Status Probe() const { return Status::Ok(); }

  // Opens the cache's plaintext for one reading from its start. `*source` stays valid on its own;
  // it wipes what it holds.
  virtual Status Open(const StoreLocation& at, const CallLimits& limits,
                      std::unique_ptr<ByteSource>* source) const = 0;

  // For the thread of an event loop: as Open, where that and reading what it opens wait for
  // nothing. False, with nothing done, where that is not so or something is wrong, which Open then
  // tells.
  virtual bool OpenNow(const StoreLocation& /*at*/, Status* /*status*/,
                       std::unique_ptr<ByteSource>* /*source*/) const {
    return false;
  }

  // The change test: a string that differs when the cache may have been written since, without
  // reading a secret. Equal to the stamp() of a source opened in the same state.
  virtual Status Stamp(const StoreLocation& at, const CallLimits& limits,
                       std::string* stamp) const = 0;

  // As Stamp, in the way of OpenNow.
  virtual bool StampNow(const StoreLocation& /*at*/, Status* /*status*/,
                        std::string* /*stamp*/) const {
    return false;
  }

  // Writes `request.change` into what the cache holds now. `locks` are the request's lock files,
  // held by the caller. Whatever fails, the cache is as it was. Returns kOk with an outcome, or why
  // the cache could not be read or written; never kNotFound.
  virtual Status Commit(const StoreLocation& at, const CommitRequest& request,
                        const CallLimits& limits, LockSet* locks, CommitResult* result) const = 0;
};

// All stores compiled in, best first. Read-only once the addon is loaded.
const std::vector<const SecretStore*>& RegisteredStores();

namespace internal {
bool RegisterStore(const SecretStore* store, int rank);
}

// Registers one process-wide instance of `Type`; the lowest rank comes first.
#define REGISTER_STORE(Type, rank)                          \
  [[maybe_unused]] static const bool registered_##Type##_ = \
      ::stc::internal::RegisterStore(new Type(), (rank))

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_SECRET_STORE_H_
