// JsonReader: a pull parser that reads a ByteSource through one buffer. It checks every byte, so it
// accepts exactly the valid UTF-8 that JSON.parse accepts, and skips strings at memory speed. Not
// recursive: each level of nesting takes one bit. Not thread-safe.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_READER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/secure_bytes.h"
#include "base/status.h"
#include "io/byte_source.h"
#include "json/json_text.h"

namespace stc {

// A part of the text. The offset counts from the mark that was set before it was read.
struct JsonSpan {
  size_t offset = 0;
  size_t size = 0;
  // For strings: ASCII without escapes.
  bool is_plain = false;
};

class JsonReader {
 public:
  // Reads from `source`, which must outlive the reader.
  explicit JsonReader(ByteSource* source);
  // Reads text in memory, which must outlive the reader.
  explicit JsonReader(std::string_view text);
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // The methods below return false if the text is not well formed or the source failed; status() is
  // the error then, and nothing more can be read.

  // Makes the next `size` bytes visible in ahead(), or all bytes if fewer are left.
  bool Prefetch(size_t size);
  std::string_view ahead() const { return {position_, static_cast<size_t>(end_ - position_)}; }

  // Skips white space and returns the next byte without taking it; -1 at the end.
  bool Peek(int* next) {
    if (!SkipWhitespace()) return false;
    *next = position_ == end_ ? -1 : static_cast<unsigned char>(*position_);
    return true;
  }
  // Skips white space and takes `expected`. Fails if another byte comes next.
  bool Expect(char expected) {
    if (!SkipWhitespace() || position_ == end_ || *position_ != expected) return Fail();
    ++position_;
    return true;
  }
  // Skips white space and takes `wanted` if it comes next. `*taken`: whether it did.
  bool Take(char wanted, bool* taken) {
    if (!SkipWhitespace()) return false;
    *taken = position_ != end_ && *position_ == wanted;
    if (*taken) ++position_;
    return true;
  }

  // Takes `text` if it comes next in ahead(). It must be well formed on its own.
  bool TakeText(std::string_view text) {
    if (ahead().substr(0, text.size()) != text) return false;
    position_ += text.size();
    return true;
  }

  // Reads the string whose opening quote is the next byte. Needs a mark unless `span` is null.
  bool ReadString(JsonSpan* span);
  // Reads the number that begins at the next byte. Needs a mark unless `span` is null.
  bool ReadNumber(JsonSpan* span);
  // Reads any value, however deeply nested.
  bool SkipValue();
  // Skips white space up to the end. Fails if anything else follows.
  bool ExpectEnd();

  // Keeps all text from here on in the buffer until Unmark. Spans count from here.
  void Mark() { mark_ = position_; }
  void Unmark() { mark_ = nullptr; }
  std::string_view Marked(const JsonSpan& span) const { return {mark_ + span.offset, span.size}; }
  // Bytes read since the mark.
  size_t SizeSinceMark() const { return static_cast<size_t>(position_ - mark_); }

  // Finds text of the source at `offset` in the buffer. Returns false if it is no longer there.
  bool FindText(uint64_t offset, size_t size, std::string_view* text) const;

  // Bytes read so far, and the offset of the mark in the source.
  uint64_t offset() const { return buffer_offset_ + static_cast<uint64_t>(position_ - begin_); }
  uint64_t mark_offset() const { return buffer_offset_ + static_cast<uint64_t>(mark_ - begin_); }

  const Status& status() const { return status_; }

 private:
  bool Fail();
  bool Refill();
  // Makes the byte at position_ readable; false at the end of the text.
  bool HasByte() { return position_ != end_ || Refill(); }
  bool SkipWhitespace() {
    // The common case: there is none.
    if (position_ != end_ && static_cast<unsigned char>(*position_) > ' ') return true;
    return SkipMoreWhitespace();
  }
  bool SkipMoreWhitespace();
  // Reads strings with wider vectors from here on, if the processor has them. Called once there is
  // enough text to make up for detecting that.
  void Widen();
  bool ReadStringWide(JsonSpan* span);
  // Finishes ReadString. The bytes from `begin` to `stop` are plain.
  bool FinishString(const char* begin, const char* stop, JsonSpan* span);
  // Reads the rest of a string that is not plain or not completely in the buffer.
  bool ReadRestOfString(size_t offset, JsonSpan* span);
  bool ReadEscape();
  bool ReadUtf8Sequence();
  bool ReadDigits();
  bool ReadLiteral(std::string_view literal);
  bool ReadScalar(char first);

  ByteSource* source_ = nullptr;
  SecureBytes buffer_;
  const char* begin_ = nullptr;
  const char* position_ = nullptr;
  const char* end_ = nullptr;
  const char* mark_ = nullptr;
  uint64_t buffer_offset_ = 0;
  bool is_at_end_ = false;
  // See Widen.
  bool is_wide_ = false;
  Status status_;
  // One bit for each open container: set for an object.
  std::vector<bool> open_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_JSON_READER_H_
