// CacheFile: a plaintext cache file, open for one reading, on POSIX systems.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_POSIX_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "io/byte_source.h"
#include "io/unique_fd.h"

namespace stc {

// Read piece by piece without a lock. Verify reports writes in place during the reading.
class CacheFile : public ByteSource {
 public:
  // Returns kNotFound if there is no file, kCacheCorrupt if it is larger than kMaxCacheSize,
  // kStoreDenied or kIo.
  static Status Open(const std::string& path, std::unique_ptr<CacheFile>* file);

  // See SecretStore::Stamp.
  static Status Stamp(const std::string& path, std::string* stamp);
  // The stamp of a file in that state; the same as that of src/backend/js/cache-file.ts.
  static std::string StampOf(const struct stat& info);

  CacheFile(UniqueFd fd, const std::string& path, const struct stat& info);

  std::string_view Whole(bool* whole) const override;
  Status Read(char* buffer, size_t capacity, size_t* size) override;
  Status Fetch(uint64_t offset, size_t size, char* buffer) override;
  Status Verify() override;
  const std::string& stamp() const override { return stamp_; }
  double modified_ms() const override;

  int fd() const { return fd_.get(); }
  // The state at Open.
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

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_POSIX_H_
