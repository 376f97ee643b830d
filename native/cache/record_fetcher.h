// RecordFetcher: gets the text of records again after a scan, from memory or from the source.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_FETCHER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_FETCHER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/secure_bytes.h"
#include "base/status.h"
#include "io/byte_source.h"
#include "json/json_reader.h"

namespace stc {

// Offsets of a record in the source.
struct RecordRange {
  uint64_t offset = 0;
  size_t size = 0;
};

// Not thread-safe.
class RecordFetcher {
 public:
  // `reader` has read `source`. Both must outlive the fetcher.
  RecordFetcher(ByteSource* source, const JsonReader* reader) : source_(source), reader_(reader) {}
  RecordFetcher(const RecordFetcher&) = delete;
  RecordFetcher& operator=(const RecordFetcher&) = delete;
  ~RecordFetcher();

  // Finds the text of a record in memory: in the reader's buffer, which still holds all of a small
  // cache, or in the last fetch. It is valid until the next fetch.
  bool Find(const RecordRange& range, std::string_view* text) const {
    if (reader_->FindText(range.offset, range.size, text)) return true;
    if (range.offset < fetched_begin_ || range.offset + range.size > fetched_end_) return false;
    *text = {fetched_.data() + (range.offset - fetched_begin_), range.size};
    return true;
  }

  // Fetches `ranges[i]`, and those of the following ranges that are close to it: call Find for each
  // range in order, and Fetch if it fails. Returns the error of the source.
  Status Fetch(const std::vector<RecordRange>& ranges, size_t i);

 private:
  static uint64_t EndOfFetch(const std::vector<RecordRange>& ranges, size_t i);

  ByteSource* const source_;
  const JsonReader* const reader_;
  SecureBytes fetched_;
  uint64_t fetched_begin_ = 0;
  uint64_t fetched_end_ = 0;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_CACHE_RECORD_FETCHER_H_
