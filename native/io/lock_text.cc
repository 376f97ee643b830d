#include "io/lock_text.h"

namespace stc {

namespace {

constexpr std::string_view kBlanks(" \t\r\n\0", 5);
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// Follows the process id in lock files of this addon.
constexpr char kMarker[] = " msal-shared\n";
// The same of the JavaScript backend (src/backend/js/stale-lock.ts).
constexpr char kJsMarker[] = " msal-shared-js\n";

uint32_t ReadPid(std::string_view text, uint32_t max_pid) {
  uint64_t pid = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    pid = pid * 10 + static_cast<uint64_t>(c - '0');
    if (pid > max_pid) return 0;
  }
  return static_cast<uint32_t>(pid);
}

}  // namespace

LockText ParseLockText(std::string_view text, uint32_t max_pid) {
  if (text.find_first_not_of(kBlanks) == std::string_view::npos) return {};
  // .NET writes a byte order mark first, Go a brace.
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    return {LockLibrary::kDotnetOrGo, ReadPid(text.substr(kByteOrderMark.size()), max_pid)};
  }
  if (text.front() == '{') return {LockLibrary::kDotnetOrGo, ReadPid(text.substr(1), max_pid)};
  const uint32_t pid = ReadPid(text, max_pid);
  if (pid > 0 && text == OwnLockText(pid)) return {LockLibrary::kOurs, pid};
  if (pid > 0 && text == std::to_string(pid) + kJsMarker) return {LockLibrary::kOursInJs, pid};
  return {LockLibrary::kOther, pid};
}

std::string OwnLockText(uint32_t pid) { return std::to_string(pid) + kMarker; }

}  // namespace stc
