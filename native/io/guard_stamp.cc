#include "io/guard_stamp.h"

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#if defined(_WIN32)
#include "io/cache_file_win.h"
#else
#include "io/cache_file_posix.h"
#endif

namespace stc {

namespace {

// Same as guardBytes in src/backend/guard-stamp.ts.
constexpr size_t kGuardBytes = 128;

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[static_cast<unsigned char>(byte) & 0xF];
  }
  return text;
}

}  // namespace

Status GuardStamp(const std::string& path, std::optional<std::string>* stamp) {
  stamp->reset();
  std::unique_ptr<CacheFile> file;
  Status status = CacheFile::Open(path, &file);
  if (status.code() == StatusCode::kNotFound) return Status::Ok();
  if (status.ok()) {
    char bytes[kGuardBytes];
    size_t size = 0;
    if (file->Read(bytes, sizeof bytes, &size).ok() && size > 0) {
      *stamp = Hex({bytes, size});
      return Status::Ok();
    }
  }
  std::string state;
  status = CacheFile::Stamp(path, &state);
  if (status.code() == StatusCode::kNotFound) return Status::Ok();
  if (status.ok()) *stamp = std::move(state);
  return status;
}

}  // namespace stc
