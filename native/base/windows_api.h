// Includes windows.h with as few definitions as possible. For _win sources only.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WINDOWS_API_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WINDOWS_API_H_

#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00  // Windows 10, the oldest version that Node supports.
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

#include <cstdint>
#include <utility>

namespace stc {

// The share mode that lets other processes do anything with the file, as on POSIX systems.
constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

// Some SDKs do not define these two, or define them wrongly. Source: FILE_INFO_BY_HANDLE_CLASS in
// minwinbase.h of the Windows SDK.
constexpr auto kFileDispositionInfoEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(21);
constexpr auto kFileRenameInfoEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(22);

// Some SDKs do not define it. Source: ERROR_DIRECTORY_NOT_SUPPORTED in winerror.h of the Windows
// SDK.
constexpr DWORD kDirectoryNotSupported = 336;

// FILETIME counts ticks of 100 ns since 1601.
constexpr int64_t kTicksPerMillisecond = 10'000;
constexpr int64_t kTicksPerSecond = 1000 * kTicksPerMillisecond;

inline int64_t Ticks(const FILETIME& time) {
  return static_cast<int64_t>((uint64_t{time.dwHighDateTime} << 32) | time.dwLowDateTime);
}

inline FILETIME FromTicks(int64_t ticks) {
  const auto bits = static_cast<uint64_t>(ticks);
  FILETIME time = {};
  time.dwLowDateTime = static_cast<DWORD>(bits);
  time.dwHighDateTime = static_cast<DWORD>(bits >> 32);
  return time;
}

inline int64_t WallClockTicks() {
  FILETIME now;
  GetSystemTimePreciseAsFileTime(&now);
  return Ticks(now);
}

// Owns a kernel handle and closes it. Movable, not thread-safe.
class UniqueHandle {
 public:
  UniqueHandle() = default;
  // On failure some functions return null and others INVALID_HANDLE_VALUE; both mean no handle.
  explicit UniqueHandle(HANDLE handle)
      : handle_(handle == INVALID_HANDLE_VALUE ? nullptr : handle) {}
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    if (this != &other) {
      Close();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  UniqueHandle(const UniqueHandle&) = delete;
  UniqueHandle& operator=(const UniqueHandle&) = delete;
  ~UniqueHandle() { Close(); }

  void Close() {
    if (handle_ != nullptr) CloseHandle(std::exchange(handle_, nullptr));
  }
  bool is_open() const { return handle_ != nullptr; }
  HANDLE get() const { return handle_; }

 private:
  HANDLE handle_ = nullptr;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_BASE_WINDOWS_API_H_
