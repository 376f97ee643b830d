#include "io/piece_writer_posix.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/system_calls_posix.h"

namespace stc {

namespace {

// The size is measured: see docs/performance.md.
constexpr uint64_t kBufferSize = uint64_t{1} << 20;

// Loops, because on a full disk the first write may be short, and only the next one fails.
bool WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = sys::Write(fd, data, size);
    if (written < 0) return false;
    if (written == 0) {
      errno = ENOSPC;
      return false;
    }
    data += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

}  // namespace

PieceWriter::PieceWriter(const CacheFile* from, std::string_view text, int to, uint64_t size)
    : from_(from),
      text_(text),
      to_(to),
      buffer_(static_cast<size_t>(std::min(size, kBufferSize))) {}

WriteOutcome PieceWriter::Write(std::string_view text) {
  while (!text.empty()) {
    const size_t step = std::min(text.size(), buffer_.size() - filled_);
    std::memcpy(buffer_.data() + filled_, text.data(), step);
    text.remove_prefix(step);
    if (!Advance(step)) return WriteOutcome::kFailed;
  }
  return WriteOutcome::kDone;
}

WriteOutcome PieceWriter::Copy(uint64_t offset, uint64_t size) {
  if (!text_.empty()) {
    return Write(text_.substr(static_cast<size_t>(offset), static_cast<size_t>(size)));
  }
  while (size > 0) {
    const size_t step = static_cast<size_t>(std::min<uint64_t>(size, buffer_.size() - filled_));
    const ssize_t got =
        sys::Pread(from_->fd(), buffer_.data() + filled_, step, static_cast<off_t>(offset));
    // The file has been truncated.
    if (got == 0) return WriteOutcome::kSourceChanged;
    if (got < 0) return WriteOutcome::kFailed;
    if (!Advance(static_cast<size_t>(got))) return WriteOutcome::kFailed;
    offset += static_cast<uint64_t>(got);
    size -= static_cast<uint64_t>(got);
  }
  return WriteOutcome::kDone;
}

WriteOutcome PieceWriter::Flush() {
  if (!WriteAll(to_, buffer_.data(), filled_)) return WriteOutcome::kFailed;
  filled_ = 0;
  return WriteOutcome::kDone;
}

bool PieceWriter::Advance(size_t size) {
  filled_ += size;
  return filled_ < buffer_.size() || Flush() == WriteOutcome::kDone;
}

}  // namespace stc
