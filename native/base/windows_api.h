// windows.h without what it defines beyond need. Included by sources for Windows only.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_WINDOWS_API_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_WINDOWS_API_H_

#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00  // Windows 10, below which Node does not run.
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

// Shares a file with everybody, as POSIX systems do.
constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

// Some SDKs hide these two, or number them wrongly. Source: FILE_INFO_BY_HANDLE_CLASS in
// minwinbase.h of the Windows SDK.
constexpr auto kFileDispositionInfoEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(21);
constexpr auto kFileRenameInfoEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(22);

// Some SDKs do not name it. Source: ERROR_DIRECTORY_NOT_SUPPORTED in winerror.h of the Windows SDK.
constexpr DWORD kDirectoryNotSupported = 336;

// What SYSTEMTIME and FILETIME count: 100 ns since 1601.
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

// A handle of the kernel that is closed with its owner. Movable, not thread-safe.
class UniqueHandle {
 public:
  UniqueHandle() = default;
  // Calls that open something return either of two values when they fail.
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

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_WINDOWS_API_H_
