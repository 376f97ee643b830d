// CacheFile: a plaintext cache that is open for one reading, on POSIX systems.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_CACHE_FILE_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_CACHE_FILE_POSIX_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "io/byte_source.h"
#include "io/unique_fd.h"

namespace stc {

// Read through a window and never locked. Writers that write in place can be caught in the act:
// Verify tells.
class CacheFile : public ByteSource {
 public:
  // Returns kNotFound if there is none, kCacheCorrupt if it is larger than any cache, kStoreDenied,
  // kIo.
  static Status Open(const std::string& path, std::unique_ptr<CacheFile>* file);

  // See SecretStore::Stamp.
  static Status Stamp(const std::string& path, std::string* stamp);
  // The stamp of a file in that state, as src/backend/js/js-backend.ts makes it of fs.stat.
  static std::string StampOf(const struct stat& info);

  CacheFile(UniqueFd fd, const std::string& path, const struct stat& info);

  std::string_view Whole(bool* whole) const override;
  Status Read(char* buffer, size_t capacity, size_t* size) override;
  Status Fetch(uint64_t offset, size_t size, char* buffer) override;
  Status Verify() override;
  const std::string& stamp() const override { return stamp_; }
  double modified_ms() const override;

  int fd() const { return fd_.get(); }
  // As it was when it was opened.
  const struct stat& info() const { return opened_; }

 private:
  ssize_t PreadOnce(char* buffer, size_t size, off_t offset) const;

  const UniqueFd fd_;
  const std::string path_;
  const struct stat opened_;
  const std::string stamp_;
  off_t offset_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_CACHE_FILE_POSIX_H_
