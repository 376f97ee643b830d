// CacheFile: a cache file, plaintext or encrypted, open for one reading, on Windows.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_WIN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/windows_api.h"
#include "io/byte_source.h"
#include "io/file_state_win.h"

namespace stc {

// Read piece by piece without a lock, in a share mode that lets others replace, overwrite and
// delete the file. Verify reports writes in place during the reading.
class CacheFile : public ByteSource {
 public:
  // Returns kNotFound if there is no file, kCacheCorrupt if it is larger than kMaxCacheSize,
  // kCacheChanged if another process has it open without sharing it, kStoreDenied or kIo.
  static Status Open(const std::string& path, std::unique_ptr<CacheFile>* file);

  // See SecretStore::Stamp.
  static Status Stamp(const std::string& path, std::string* stamp);

  CacheFile(UniqueHandle file, const std::string& path, const FileState& state);

  std::string_view Whole(bool* whole) const override;
  Status Read(char* buffer, size_t capacity, size_t* size) override;
  Status Fetch(uint64_t offset, size_t size, char* buffer) override;
  Status Verify() override;
  const std::string& stamp() const override { return stamp_; }
  double modified_ms() const override { return UnixMilliseconds(opened_.modified); }

  // Reads the whole file, independent of Read. Returns kCacheChanged if it was written meanwhile.
  Status ReadWhole(SecureBytes* bytes);

  // The state at Open.
  const FileState& state() const { return opened_; }

 private:
  Status ReadOnce(uint64_t offset, char* buffer, size_t capacity, size_t* size) const;

  const UniqueHandle file_;
  const std::string path_;
  const FileState opened_;
  const std::string stamp_;
  uint64_t offset_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_CACHE_FILE_WIN_H_
