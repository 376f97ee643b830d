#include <dirent.h>
#include <unistd.h>

#include "io/file_times.h"
#include "io/temp_name.h"

namespace stc {

namespace internal {

const char kPathSeparators[] = "/";

uint64_t CurrentPid() { return static_cast<uint64_t>(getpid()); }

uint64_t ClockTicks() { return static_cast<uint64_t>(WallClockNanoseconds()); }

void ForEachSibling(const std::string& path, const std::function<void(const std::string&)>& use) {
  DIR* const list = opendir(path.substr(0, path.rfind('/') + 1).c_str());
  if (list == nullptr) return;
  while (const dirent* entry = readdir(list)) use(entry->d_name);
  closedir(list);
}

}  // namespace internal

}  // namespace stc
