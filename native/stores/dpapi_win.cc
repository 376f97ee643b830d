// Caches on Windows: files that DPAPI encrypts for the current user, without extra entropy, as all
// MSAL libraries do. Source: ProtectedData of .NET with DataProtectionScope.CurrentUser; MSAL
// extensions for Python, Node, Go and Java.

#include "base/wide_path.h"
#include "cache/cache_format.h"
#include "io/cache_file_win.h"
#include "io/memory_source.h"
#include "stores/dpapi_status_win.h"
#include "stores/file_commit_win.h"
#include "stores/secret_store.h"
// Last, because it needs the types that the headers above declare.
#include <wincrypt.h>

namespace stc {

namespace {

// Forbids prompts: in a service, nobody can answer them.
constexpr DWORD kFlags = CRYPTPROTECT_UI_FORBIDDEN;

// A buffer that Windows allocates. Wiped before it is freed.
class Blob {
 public:
  Blob() = default;
  Blob(const Blob&) = delete;
  Blob& operator=(const Blob&) = delete;
  ~Blob() {
    if (blob_.pbData == nullptr) return;
    SecureZeroMemory(blob_.pbData, blob_.cbData);
    LocalFree(blob_.pbData);
  }

  DATA_BLOB* out() { return &blob_; }
  SecureBytes Copy() const {
    return SecureBytes::CopyOf({reinterpret_cast<const char*>(blob_.pbData), blob_.cbData});
  }

 private:
  DATA_BLOB blob_ = {};
};

DATA_BLOB BlobOf(SecureBytes* bytes) {
  // The calls do not write to their input, although its type is not const.
  return {static_cast<DWORD>(bytes->size()), reinterpret_cast<BYTE*>(bytes->data())};
}

Status FormatStatus(const std::string& path, const char* what) {
  return Status(StatusCode::kCacheFormat, "sniff", "", 0, path + ": " + what);
}

// Returns kCacheFormat if the bytes are a cache in another known format.
Status Sniff(const std::string& path, std::string_view bytes) {
  // A DPAPI blob starts with version 1, every other known format with a printable character.
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || bytes[first] == '{') {
    return FormatStatus(path,
                        "a plaintext cache instead of one encrypted with DPAPI. Delete "
                        "or move it, and sign in again.");
  }
  if (IsJwe(bytes.substr(first))) {
    return FormatStatus(path,
                        "encrypted as a JWE instead of with DPAPI. Delete or move it, and "
                        "sign in again.");
  }
  return Status::Ok();
}

class DpapiEncoding : public CacheEncoding {
 public:
  Status Decode(const std::string& path, SecureBytes* bytes) const override {
    Status status = Sniff(path, bytes->view());
    if (!status.ok()) return status;
    DATA_BLOB encrypted = BlobOf(bytes);
    Blob plain;
    if (!CryptUnprotectData(&encrypted, nullptr, nullptr, nullptr, nullptr, kFlags, plain.out())) {
      return DpapiFailure("CryptUnprotectData", path, GetLastError());
    }
    *bytes = plain.Copy();
    return Status::Ok();
  }

  Status Encode(const std::string& path, SecureBytes* bytes) const override {
    DATA_BLOB plain = BlobOf(bytes);
    Blob encrypted;
    if (!CryptProtectData(&plain, nullptr, nullptr, nullptr, nullptr, kFlags, encrypted.out())) {
      return DpapiFailure("CryptProtectData", path, GetLastError());
    }
    *bytes = encrypted.Copy();
    return Status::Ok();
  }
};

class DpapiStore : public SecretStore {
 public:
  const char* name() const override { return "dpapi"; }

  Status Open(const StoreLocation& at, const CallLimits& /*limits*/,
              std::unique_ptr<ByteSource>* source) const override {
    std::unique_ptr<CacheFile> file;
    Status status = CacheFile::Open(at.path, &file);
    if (!status.ok()) return status;
    SecureBytes bytes;
    status = file->ReadWhole(&bytes);
    // An empty file is an empty cache: some libraries create one as a signal.
    if (status.ok() && bytes.size() > 0) status = DpapiEncoding().Decode(at.path, &bytes);
    if (!status.ok()) return status;
    *source = std::make_unique<MemorySource>(std::move(bytes), file->stamp(), file->modified_ms());
    return Status::Ok();
  }

  Status Stamp(const StoreLocation& at, const CallLimits& /*limits*/,
               std::string* stamp) const override {
    return CacheFile::Stamp(at.path, stamp);
  }

  Status Commit(const StoreLocation& at, const CommitRequest& request, const CallLimits& /*limits*/,
                LockSet* locks, CommitResult* result) const override {
    return CommitFile(at.path, DpapiEncoding(), request, locks, result);
  }
};

REGISTER_STORE(DpapiStore, 0);

}  // namespace

}  // namespace stc
