// JsonReader: a pull parser over a ByteSource, through one window that is used again and again. It
// checks every byte that it passes, so that what it accepts is exactly what JSON.parse accepts of
// valid UTF-8, and skips strings at memory speed. Not thread-safe. No recursion: nesting costs one
// bit a level.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_READER_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/secure_bytes.h"
#include "base/status.h"
#include "io/byte_source.h"
#include "json/json_text.h"

namespace stc {

// A stretch of text, as offsets from the mark that was set before it was read.
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

  // The methods below return false when the text is not well formed or the source failed; status()
  // tells which, and nothing more can be read then.

  // Makes at least `size` bytes visible in ahead(), or all that are left.
  bool Prefetch(size_t size);
  std::string_view ahead() const { return {position_, static_cast<size_t>(end_ - position_)}; }

  // Skips white space and gives the next byte without taking it; -1 at the end.
  bool Peek(int* next) {
    if (!SkipWhitespace()) return false;
    *next = position_ == end_ ? -1 : static_cast<unsigned char>(*position_);
    return true;
  }
  // Skips white space and takes `expected`.
  bool Expect(char expected) {
    if (!SkipWhitespace() || position_ == end_ || *position_ != expected) return Fail();
    ++position_;
    return true;
  }
  // Skips white space; true if the next byte was `wanted`, which is taken then.
  bool Take(char wanted, bool* taken) {
    if (!SkipWhitespace()) return false;
    *taken = position_ != end_ && *position_ == wanted;
    if (*taken) ++position_;
    return true;
  }

  // Takes `text`, which has to be well formed by itself, if it is what comes next.
  bool TakeText(std::string_view text) {
    if (ahead().substr(0, text.size()) != text) return false;
    position_ += text.size();
    return true;
  }

  // Reads the string that begins at the next byte, which is a quotation mark. Needs a mark if
  // `span` is given.
  bool ReadString(JsonSpan* span);
  // Reads the number that begins at the next byte. Needs a mark if `span` is given.
  bool ReadNumber(JsonSpan* span);
  // Reads any value, however deeply nested.
  bool SkipValue();
  // Takes white space up to the end; false if there is anything else.
  bool ExpectEnd();

  // Keeps everything from here on in the window until Unmark. Spans count from here.
  void Mark() { mark_ = position_; }
  void Unmark() { mark_ = nullptr; }
  std::string_view Marked(const JsonSpan& span) const { return {mark_ + span.offset, span.size}; }
  // How far the reader has come since the mark.
  size_t SizeSinceMark() const { return static_cast<size_t>(position_ - mark_); }

  // What was read at an offset of the source, if it still stands in the window.
  bool FindText(uint64_t offset, size_t size, std::string_view* text) const;

  // Bytes read so far, and where in the source the mark stands.
  uint64_t offset() const { return buffer_offset_ + static_cast<uint64_t>(position_ - begin_); }
  uint64_t mark_offset() const { return buffer_offset_ + static_cast<uint64_t>(mark_ - begin_); }

  const Status& status() const { return status_; }

 private:
  bool Fail();
  bool Refill();
  // Makes the byte at position_ readable; false at the end of the text.
  bool HasByte() { return position_ != end_ || Refill(); }
  bool SkipWhitespace() {
    // Nearly always there is none.
    if (position_ != end_ && static_cast<unsigned char>(*position_) > ' ') return true;
    return SkipMoreWhitespace();
  }
  bool SkipMoreWhitespace();
  // Where there is enough to read for it to pay: reads strings with wider vectors from here on, if
  // the processor has them.
  void Widen();
  bool ReadStringWide(JsonSpan* span);
  // The rest of ReadString: the plain beginning of the string goes from `begin` to `stop`.
  bool FinishString(const char* begin, const char* stop, JsonSpan* span);
  // The rest of a string that is not plain, or not whole in the window.
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

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_JSON_READER_H_
