#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "io/file_times.h"
#include "io/temp_name.h"

namespace stc {

namespace {

constexpr std::string_view kDigits = "0123456789";

// Takes the digits that `text` begins with; false if there are none.
bool TakeDigits(std::string_view* text) {
  const size_t size = std::min(text->find_first_not_of(kDigits), text->size());
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
  // Of two threads the counter differs; of two processes of one pid, the time.
  const uint64_t number = static_cast<uint64_t>(WallClockNanoseconds()) + counter.fetch_add(1);
  return path + "." + std::to_string(getpid()) + "." + std::to_string(number) + suffix;
}

void ForEachTemp(const std::string& path, const std::string& suffix,
                 const std::function<void(const std::string&)>& use) {
  const size_t slash = path.rfind('/');
  const std::string directory = path.substr(0, slash + 1);
  const std::string base = path.substr(slash + 1);
  DIR* const list = opendir(directory.c_str());
  if (list == nullptr) return;
  while (const dirent* entry = readdir(list)) {
    std::string_view name(entry->d_name);
    if (Take(base, &name) && Take(".", &name) && TakeDigits(&name) && Take(".", &name) &&
        TakeDigits(&name) && name == suffix) {
      use(directory + entry->d_name);
    }
  }
  closedir(list);
}

}  // namespace stc
