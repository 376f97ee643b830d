// PageCacheFile: a small plaintext cache that the kernel has in memory, read on the spot. To hand
// it to a thread and take the answer back costs the event loop as much, and the caller half as much
// again (6 tokens, 23 KB: the event loop 52 against 57 us, the caller 50 against 73).

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_PAGE_CACHE_FILE_LINUX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_PAGE_CACHE_FILE_LINUX_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/secure_bytes.h"
#include "io/cache_file_posix.h"

namespace stc {

class PageCacheFile : public CacheFile {
 public:
  // For the thread of an event loop: waits for nothing, neither disk nor network nor another
  // process. `*status` is kNotFound if there is no file. False if the file is larger than a window,
  // if it cannot be had so (also in any sandbox that filters system calls, as most containers are),
  // or if there is anything odd about it, which CacheFile::Open tells.
  static bool Open(const std::string& path, Status* status, std::unique_ptr<PageCacheFile>* file);

  // As CacheFile::Stamp, in the same way.
  static bool Stamp(const std::string& path, Status* status, std::string* stamp);

  // `bytes` has the file's at its beginning.
  PageCacheFile(UniqueFd fd, const std::string& path, const struct stat& info, SecureBytes bytes);
  ~PageCacheFile() override;

  std::string_view Whole(bool* whole) const override;
  Status Read(char* buffer, size_t capacity, size_t* size) override;
  Status Fetch(uint64_t offset, size_t size, char* buffer) override;

 private:
  SecureBytes bytes_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_STORES_PAGE_CACHE_FILE_LINUX_H_
