#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/wide_path.h"
#include "base/windows_api.h"
#include "io/temp_name.h"

namespace stc {

namespace {

// Takes the digits that `text` begins with; false if there are none.
bool TakeDigits(std::string_view* text) {
  const size_t size = std::min(text->find_first_not_of("0123456789"), text->size());
  text->remove_prefix(size);
  return size > 0;
}

bool Take(std::string_view expected, std::string_view* text) {
  if (text->substr(0, expected.size()) != expected) return false;
  text->remove_prefix(expected.size());
  return true;
}

}  // namespace

std::string TempName(const std::string& path, const std::string& suffix) {
  static std::atomic<uint64_t> counter{0};
  // Of two threads the counter differs; of two processes that had the same pid, the time.
  const uint64_t number = static_cast<uint64_t>(WallClockTicks()) + counter.fetch_add(1);
  return path + "." + std::to_string(GetCurrentProcessId()) + "." + std::to_string(number) + suffix;
}

void ForEachTemp(const std::string& path, const std::string& suffix,
                 const std::function<void(const std::string&)>& use) {
  const size_t separator = path.find_last_of("\\/");
  const std::string directory = path.substr(0, separator + 1);
  const std::string base = path.substr(separator + 1);
  std::wstring pattern;
  if (!WidenPath(path, &pattern).ok()) return;
  pattern.resize(pattern.rfind(L'\\') + 1);
  pattern += L'*';
  WIN32_FIND_DATAW found;
  const HANDLE search = FindFirstFileW(pattern.c_str(), &found);
  if (search == INVALID_HANDLE_VALUE) return;
  do {
    const std::string file = Narrow(found.cFileName);
    std::string_view name(file);
    if (Take(base, &name) && Take(".", &name) && TakeDigits(&name) && Take(".", &name) &&
        TakeDigits(&name) && name == suffix) {
      use(directory + file);
    }
  } while (FindNextFileW(search, &found));
  FindClose(search);
}

}  // namespace stc
