#include "cache/record_fetcher.h"

#include <utility>

#include "io/buffer_pool.h"

namespace stc {

namespace {

// Matched records with a gap of at most this many bytes are fetched together, if they fit into one
// buffer. Keys between records are about 200 bytes long.
constexpr uint64_t kMaxGapBytes = 4096;

}  // namespace

RecordFetcher::~RecordFetcher() { BufferPool::Return(std::move(fetched_)); }

Status RecordFetcher::Fetch(const std::vector<RecordRange>& ranges, size_t i) {
  fetched_begin_ = ranges[i].offset;
  fetched_end_ = EndOfFetch(ranges, i);
  const auto size = static_cast<size_t>(fetched_end_ - fetched_begin_);
  if (fetched_.size() == 0) fetched_ = BufferPool::Take();
  if (fetched_.size() < size) fetched_.Resize(size);
  return source_->Fetch(fetched_begin_, size, fetched_.data());
}

// Returns the end offset of a fetch that starts at `ranges[i]`. The tokens of one account are
// usually close together, and one system call for each would cost as much as reading the bytes
// between them.
uint64_t RecordFetcher::EndOfFetch(const std::vector<RecordRange>& ranges, size_t i) {
  const uint64_t begin = ranges[i].offset;
  uint64_t end = begin + ranges[i].size;
  for (++i; i < ranges.size(); ++i) {
    const RecordRange& next = ranges[i];
    if (next.offset - end > kMaxGapBytes ||
        next.offset + next.size - begin > BufferPool::kBufferSize) {
      break;
    }
    end = next.offset + next.size;
  }
  return end;
}

}  // namespace stc
