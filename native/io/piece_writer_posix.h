// PieceWriter: writes a new cache from new text and ranges of the old cache, on POSIX systems.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_PIECE_WRITER_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_PIECE_WRITER_POSIX_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/secure_bytes.h"
#include "io/cache_file_posix.h"

namespace stc {

// kFailed: errno tells why. kSourceChanged: the old cache has been truncated.
enum class WriteOutcome : uint8_t { kDone, kFailed, kSourceChanged };

// Collects the pieces in a buffer: around the fields of a record, they are only a few bytes long.
// Not thread-safe.
class PieceWriter {
 public:
  // `from`: the old cache, or null if there is none. `text`: its content if that is in memory,
  // otherwise empty. `to`: file descriptor of the new cache. `size`: total bytes that will be
  // written.
  PieceWriter(const CacheFile* from, std::string_view text, int to, uint64_t size);

  // Appends new text.
  WriteOutcome Write(std::string_view text);
  // Appends `size` bytes of the old cache from `offset`.
  WriteOutcome Copy(uint64_t offset, uint64_t size);
  // Call it at the end.
  WriteOutcome Flush();

 private:
  bool Advance(size_t size);

  const CacheFile* const from_;
  const std::string_view text_;
  const int to_;
  SecureBytes buffer_;
  size_t filled_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_PIECE_WRITER_POSIX_H_
