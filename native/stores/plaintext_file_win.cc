// Plaintext caches on Windows: files in MSAL's format, at a path that the program configures. The
// shared caches on Windows are encrypted; see dpapi_win.cc.

#include "io/cache_file_win.h"
#include "stores/file_commit_win.h"
#include "stores/secret_store.h"

namespace stc {

namespace {

class PlainText : public CacheEncoding {
 public:
  Status Decode(const std::string& /*path*/, SecureBytes* /*bytes*/) const override {
    return Status::Ok();
  }
  Status Encode(const std::string& /*path*/, SecureBytes* /*bytes*/) const override {
    return Status::Ok();
  }
};

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

  Status Stamp(const StoreLocation& at, const CallLimits& /*limits*/,
               std::string* stamp) const override {
    return CacheFile::Stamp(at.path, stamp);
  }

  Status Commit(const StoreLocation& at, const CommitRequest& request, const CallLimits& /*limits*/,
                LockSet* locks, CommitResult* result) const override {
    return CommitFile(at.path, PlainText(), request, locks, result);
  }
};

REGISTER_STORE(PlaintextFileStore, 10);

}  // namespace

}  // namespace stc
