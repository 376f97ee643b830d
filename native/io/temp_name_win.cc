#include "base/wide_path.h"
#include "base/windows_api.h"
#include "io/temp_name.h"

namespace stc {

namespace internal {

const char kPathSeparators[] = "\\/";

uint64_t CurrentPid() { return GetCurrentProcessId(); }

uint64_t ClockTicks() { return static_cast<uint64_t>(WallClockTicks()); }

void ForEachSibling(const std::string& path, const std::function<void(const std::string&)>& use) {
  std::wstring pattern;
  if (!WidenPath(path, &pattern).ok()) return;
  pattern.resize(pattern.rfind(L'\\') + 1);
  pattern += L'*';
  WIN32_FIND_DATAW found;
  const HANDLE search = FindFirstFileW(pattern.c_str(), &found);
  if (search == INVALID_HANDLE_VALUE) return;
  do {
    use(Narrow(found.cFileName));
  } while (FindNextFileW(search, &found));
  FindClose(search);
}

}  // namespace internal

}  // namespace stc
