// The text of a lock file, which says who wrote it.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_TEXT_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stc {

enum class LockLibrary {
  // The file is empty or blank.
  kNone,
  // This addon. It holds the lock by kernel locks or an open handle.
  kOurs,
  // This package without the addon. The existence of the file is its lock.
  kOursInJs,
  // MSAL extensions for .NET or MSAL for Go. They hold by kernel locks or an open handle.
  kDotnetOrGo,
  // Any other library. The existence of the file may be its lock.
  kOther,
};

struct LockText {
  LockLibrary library = LockLibrary::kNone;
  // The writer's process id; 0 if the text does not begin with one.
  uint32_t pid = 0;
};

// As many bytes of a lock file as ParseLockText needs.
inline constexpr size_t kMaxLockText = 128;

// `max_pid`: numbers above are not process ids on this system.
LockText ParseLockText(std::string_view text, uint32_t max_pid);

// Returns the text that this addon writes to its lock files.
std::string OwnLockText(uint32_t pid);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_LOCK_TEXT_H_
