#include "json/json_reader.h"

#include <cstring>
#include <string>
#include <utility>

#include "base/cpu_features.h"
#include "io/buffer_pool.h"
#include "json/skip_string.h"

namespace stc {

namespace {

inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }

inline bool IsHexDigit(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

inline bool IsWhitespace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

JsonReader::JsonReader(ByteSource* source) : source_(source) {
  bool is_whole = false;
  const std::string_view whole = source->Whole(&is_whole);
  if (is_whole) {
    begin_ = position_ = whole.data();
    end_ = begin_ + whole.size();
    is_at_end_ = true;
    if (whole.size() > BufferPool::kBufferSize) Widen();
    return;
  }
  buffer_ = BufferPool::Take();
  begin_ = position_ = end_ = buffer_.data();
}

JsonReader::JsonReader(std::string_view text)
    : begin_(text.data()),
      position_(text.data()),
      end_(text.data() + text.size()),
      is_at_end_(true) {}

JsonReader::~JsonReader() { BufferPool::Return(std::move(buffer_)); }

bool JsonReader::Fail() {
  if (status_.ok()) {
    status_ = Status(StatusCode::kCacheCorrupt, "parse", "", 0,
                     "not well-formed JSON (at byte " + std::to_string(offset()) +
                         "). If no program is writing it, sign in again or move it away.");
  }
  return false;
}

bool JsonReader::Refill() {
  if (is_at_end_) return false;
  // Move the text that must be kept to the front and fill the rest of the buffer.
  const char* keep = mark_ != nullptr ? mark_ : position_;
  const size_t kept = static_cast<size_t>(end_ - keep);
  const size_t read = static_cast<size_t>(position_ - keep);
  buffer_offset_ += static_cast<uint64_t>(keep - begin_);
  if (kept == buffer_.size()) {
    // A record is larger than the buffer. Doubling keeps the cost of copying linear.
    buffer_.Resize(buffer_.size() * 2);
  } else if (kept > 0) {
    std::memmove(buffer_.data(), keep, kept);
  }
  begin_ = buffer_.data();
  if (mark_ != nullptr) mark_ = begin_;
  position_ = begin_ + read;
  end_ = begin_ + kept;
  size_t size = 0;
  Status status = source_->Read(buffer_.data() + kept, buffer_.size() - kept, &size);
  if (!status.ok()) {
    status_ = std::move(status);
    is_at_end_ = true;
    return false;
  }
  end_ += size;
  is_at_end_ = size == 0;
  if (!is_wide_ && buffer_offset_ > 0) Widen();
  return size > 0;
}

bool JsonReader::FindText(uint64_t offset, size_t size, std::string_view* text) const {
  if (offset < buffer_offset_) return false;
  const uint64_t at = offset - buffer_offset_;
  const auto held = static_cast<uint64_t>(end_ - begin_);
  if (size > held || at > held - size) return false;
  *text = {begin_ + at, size};
  return true;
}

bool JsonReader::Prefetch(size_t size) {
  while (static_cast<size_t>(end_ - position_) < size && Refill()) {
  }
  return status_.ok();
}

bool JsonReader::SkipMoreWhitespace() {
  do {
    while (position_ != end_ && IsWhitespace(*position_)) ++position_;
  } while (position_ == end_ && Refill());
  return status_.ok();
}

bool JsonReader::ExpectEnd() {
  if (!SkipWhitespace()) return false;
  return position_ == end_ || Fail();
}

inline bool JsonReader::FinishString(const char* begin, const char* stop, JsonSpan* span) {
  position_ = stop;
  if (stop != end_ && *stop == '"') {
    if (span != nullptr) {
      *span = {static_cast<size_t>(begin - mark_), static_cast<size_t>(stop - begin), true};
    }
    ++position_;
    return true;
  }
  return ReadRestOfString(mark_ == nullptr ? 0 : static_cast<size_t>(begin - mark_), span);
}

#if defined(STC_AVX2_KERNEL)

void JsonReader::Widen() { is_wide_ = HasAvx2(); }

// A separate function, because code for another processor cannot be inlined into other functions.
STC_AVX2 bool JsonReader::ReadStringWide(JsonSpan* span) {
  const char* const begin = position_ + 1;
  return FinishString(begin, SkipStringWide(begin, end_), span);
}

#else

void JsonReader::Widen() {}

#endif

bool JsonReader::ReadString(JsonSpan* span) {
#if defined(STC_AVX2_KERNEL)
  if (is_wide_) return ReadStringWide(span);
#endif
  const char* const begin = position_ + 1;
  return FinishString(begin, SkipString(begin, end_), span);
}

bool JsonReader::ReadRestOfString(size_t offset, JsonSpan* span) {
  bool is_plain = true;
  for (;;) {
    position_ = SkipString(position_, end_);
    if (position_ == end_) {
      if (!Refill()) return Fail();
      continue;
    }
    const char c = *position_;
    if (c == '"') break;
    is_plain = false;
    if (c == '\\') {
      if (!ReadEscape()) return Fail();
    } else if (static_cast<signed char>(c) >= 0 || !ReadUtf8Sequence()) {
      return Fail();
    }
  }
  if (span != nullptr) *span = {offset, SizeSinceMark() - offset, is_plain};
  ++position_;
  return true;
}

bool JsonReader::ReadEscape() {
  ++position_;
  if (!HasByte()) return false;
  const char c = *position_++;
  if (c != 'u') return c != '\0' && std::strchr("\"\\/bfnrt", c) != nullptr;
  for (int digit = 0; digit < 4; ++digit) {
    if (!HasByte() || !IsHexDigit(*position_)) return false;
    ++position_;
  }
  return true;
}

// Source: Unicode 15.0, table 3-7, well-formed UTF-8 byte sequences.
bool JsonReader::ReadUtf8Sequence() {
  const unsigned lead = static_cast<unsigned char>(*position_++);
  if (lead < 0xC2 || lead > 0xF4) return false;
  unsigned least = 0x80;
  unsigned most = 0xBF;
  if (lead == 0xE0) least = 0xA0;
  if (lead == 0xED) most = 0x9F;
  if (lead == 0xF0) least = 0x90;
  if (lead == 0xF4) most = 0x8F;
  for (int rest = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1; rest > 0; --rest) {
    if (!HasByte()) return false;
    const unsigned next = static_cast<unsigned char>(*position_);
    if (next < least || next > most) return false;
    ++position_;
    least = 0x80;
    most = 0xBF;
  }
  return true;
}

bool JsonReader::ReadDigits() {
  if (!HasByte() || !IsDigit(*position_)) return Fail();
  while (HasByte() && IsDigit(*position_)) ++position_;
  return true;
}

bool JsonReader::ReadNumber(JsonSpan* span) {
  const size_t offset = mark_ == nullptr ? 0 : SizeSinceMark();
  if (*position_ == '-') ++position_;
  if (!HasByte()) return Fail();
  if (*position_ == '0') {
    ++position_;
  } else if (!ReadDigits()) {
    return false;
  }
  if (HasByte() && *position_ == '.') {
    ++position_;
    if (!ReadDigits()) return false;
  }
  if (HasByte() && (*position_ == 'e' || *position_ == 'E')) {
    ++position_;
    if (HasByte() && (*position_ == '+' || *position_ == '-')) ++position_;
    if (!ReadDigits()) return false;
  }
  if (!status_.ok()) return false;
  if (span != nullptr) *span = {offset, SizeSinceMark() - offset, true};
  return true;
}

bool JsonReader::ReadLiteral(std::string_view literal) {
  for (const char c : literal) {
    if (!HasByte() || *position_ != c) return Fail();
    ++position_;
  }
  return true;
}

bool JsonReader::ReadScalar(char first) {
  switch (first) {
    case '"':
      return ReadString(nullptr);
    case 't':
      return ReadLiteral("true");
    case 'f':
      return ReadLiteral("false");
    case 'n':
      return ReadLiteral("null");
    default:
      return first == '-' || IsDigit(first) ? ReadNumber(nullptr) : Fail();
  }
}

bool JsonReader::SkipValue() {
  open_.clear();
  for (;;) {
    // A value begins here.
    if (!SkipWhitespace() || position_ == end_) return Fail();
    const char first = *position_;
    bool is_empty = false;
    if (first == '{' || first == '[') {
      ++position_;
      if (!Take(first == '{' ? '}' : ']', &is_empty)) return false;
      if (!is_empty) {
        open_.push_back(first == '{');
        if (first == '[') continue;
      }
    } else if (!ReadScalar(first)) {
      return false;
    }
    // A value has ended here, unless an object was just opened; its first key comes next.
    bool is_opened = first == '{' && !is_empty;
    while (!is_opened) {
      if (open_.empty()) return true;
      bool has_more = false;
      if (!Take(',', &has_more)) return false;
      if (has_more) break;
      if (!Expect(open_.back() ? '}' : ']')) return false;
      open_.pop_back();
    }
    if (open_.back()) {
      if (!SkipWhitespace() || position_ == end_ || *position_ != '"') return Fail();
      if (!ReadString(nullptr) || !Expect(':')) return false;
    }
  }
}

}  // namespace stc
