#include "io/temp_name.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string_view>

namespace stc {

namespace {

// Removes the digits at the beginning of `text`. Returns false if there are none.
bool TakeDigits(std::string_view* text) {
  const size_t size = std::min(text->find_first_not_of("0123456789"), text->size());
  text->remove_prefix(size);
  return size > 0;
}

// Removes `expected` at the beginning of `text`. Returns false if it is not there.
bool Take(std::string_view expected, std::string_view* text) {
  if (text->substr(0, expected.size()) != expected) return false;
  text->remove_prefix(expected.size());
  return true;
}

}  // namespace

std::string TempName(const std::string& path, const std::string& suffix) {
  static std::atomic<uint64_t> counter{0};
  // The counter makes the numbers of two threads differ, the time those of two processes that used
  // the same pid one after the other.
  const uint64_t number = internal::ClockTicks() + counter.fetch_add(1);
  return path + "." + std::to_string(internal::CurrentPid()) + "." + std::to_string(number) +
         suffix;
}

void ForEachTemp(const std::string& path, const std::string& suffix,
                 const std::function<void(const std::string&)>& use) {
  const size_t base_begin = path.find_last_of(internal::kPathSeparators) + 1;
  const std::string directory = path.substr(0, base_begin);
  const std::string base = path.substr(base_begin);
  internal::ForEachSibling(path, [&](const std::string& file) {
    std::string_view name(file);
    if (Take(base, &name) && Take(".", &name) && TakeDigits(&name) && Take(".", &name) &&
        TakeDigits(&name) && name == suffix) {
      use(directory + file);
    }
  });
}

}  // namespace stc
