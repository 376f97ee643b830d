// PageCacheFile: a small plaintext cache file that is in the kernel's page cache, read on the
// thread of the event loop. Handing the job to another thread would take the event loop as long,
// and the caller longer (measured: bench P4).

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_PAGE_CACHE_FILE_LINUX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_PAGE_CACHE_FILE_LINUX_H_

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
  // Never waits for a disk, the network or another process, so it may be called on the thread of an
  // event loop. `*status` is kNotFound if there is no file. Returns false if the file is larger
  // than BufferPool::kBufferSize, cannot be read without waiting, or cannot be opened;
  // CacheFile::Open reports why. Always false in a sandbox that filters system calls, as most
  // containers do.
  static bool Open(const std::string& path, Status* status, std::unique_ptr<PageCacheFile>* file);

  // As CacheFile::Stamp, without waiting.
  static bool Stamp(const std::string& path, Status* status, std::string* stamp);

  // `bytes` begins with the content of the file.
  PageCacheFile(UniqueFd fd, const std::string& path, const struct stat& info, SecureBytes bytes);
  ~PageCacheFile() override;

  std::string_view Whole(bool* whole) const override;
  Status Read(char* buffer, size_t capacity, size_t* size) override;
  Status Fetch(uint64_t offset, size_t size, char* buffer) override;

 private:
  SecureBytes bytes_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_PAGE_CACHE_FILE_LINUX_H_
