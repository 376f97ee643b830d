// Plaintext caches on POSIX systems: files in MSAL's format.

#include "io/cache_file_posix.h"
#include "stores/secret_store.h"
#if defined(__linux__)
#include "io/page_cache_file_linux.h"
#endif
#include "stores/file_commit_posix.h"

namespace stc {

namespace {

class PlaintextFileStore : public SecretStore {
 public:
  const char* name() const override { return "plaintext"; }

  Status Open(const StoreLocation& at, const CallLimits& /*limits*/,
              std::unique_ptr<ByteSource>* source) const override {
    std::unique_ptr<CacheFile> file;
    Status status = CacheFile::Open(at.path, &file);
    *source = std::move(file);
    return status;
  }

#if defined(__linux__)
  bool OpenNow(const StoreLocation& at, Status* status,
               std::unique_ptr<ByteSource>* source) const override {
    std::unique_ptr<PageCacheFile> file;
    if (!PageCacheFile::Open(at.path, status, &file)) return false;
    *source = std::move(file);
    return true;
  }

  bool StampNow(const StoreLocation& at, Status* status, std::string* stamp) const override {
    return PageCacheFile::Stamp(at.path, status, stamp);
  }
#endif

  Status Stamp(const StoreLocation& at, const CallLimits& /*limits*/,
               std::string* stamp) const override {
    return CacheFile::Stamp(at.path, stamp);
  }

  Status Commit(const StoreLocation& at, const CommitRequest& request, const CallLimits& /*limits*/,
                LockSet* locks, CommitResult* result) const override {
    return CommitFile(at.path, request, locks, result);
  }
};

REGISTER_STORE(PlaintextFileStore, 10);

}  // namespace

}  // namespace stc
