// TempFile: a new file that takes the place of another one, on POSIX systems.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_TEMP_FILE_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_TEMP_FILE_POSIX_H_

#include <string>

#include "io/unique_fd.h"

namespace stc {

// Suffix of the names of such files. See temp_name.h.
inline constexpr char kTempFileSuffix[] = ".tmp";

// The destructor deletes the file, unless Rename has succeeded. Not thread-safe.
class TempFile {
 public:
  // `beside`: the file that it will replace. The temporary file is in the same directory.
  explicit TempFile(const std::string& beside);
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile();

  // Creates the file, for this user alone. Returns false and sets errno on failure.
  bool Create();
  int fd() const { return fd_.get(); }

  // Gives the file the name `path`. `must_be_new`: fails with EEXIST if there is a file with that
  // name, as far as the system supports that. Returns false and sets errno on failure.
  bool Rename(const std::string& path, bool must_be_new);

 private:
  const std::string path_;
  UniqueFd fd_;
  bool is_kept_ = false;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_TEMP_FILE_POSIX_H_
