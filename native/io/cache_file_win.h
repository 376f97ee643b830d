// CacheFile: a file that a cache is kept in, open for one reading, on Windows.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_CACHE_FILE_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_CACHE_FILE_WIN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/windows_api.h"
#include "io/byte_source.h"
#include "io/file_state_win.h"

namespace stc {

// Read through a window, never locked, and shared with everybody: no writer finds it in the way
// that replaces, overwrites or deletes it. Writers that write in place can be caught in the act:
// Verify tells.
class CacheFile : public ByteSource {
 public:
  // Returns kNotFound if there is none, kCacheCorrupt if it is larger than any cache, kCacheChanged
  // if somebody has it open who does not share it, kStoreDenied, kIo.
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

  // All of it, however much was read before. kCacheChanged if it was written to meanwhile.
  Status ReadWhole(SecureBytes* bytes);

  // As it was when it was opened.
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

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_CACHE_FILE_WIN_H_
