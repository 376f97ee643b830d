// Names of temporary files beside another file: `<path>.<pid>.<number><suffix>`. The pid tells
// which process made one.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_TEMP_NAME_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_TEMP_NAME_H_

#include <cstdint>
#include <functional>
#include <string>

namespace stc {

// Returns a name that this process has not used before. Create the file exclusively: a process of
// another pid namespace may have the same pid.
std::string TempName(const std::string& path, const std::string& suffix);

// Calls `use` with the path of each existing file whose name TempName(path, suffix) can have made,
// in any process.
void ForEachTemp(const std::string& path, const std::string& suffix,
                 const std::function<void(const std::string&)>& use);

// Implemented once per system.
namespace internal {

uint64_t CurrentPid();

// The wall clock, in the smallest unit of the system.
uint64_t ClockTicks();

// The characters that separate the parts of a path.
extern const char kPathSeparators[];

// Calls `use` with the name of each file in the directory that holds `path`. Does nothing if the
// directory cannot be read.
void ForEachSibling(const std::string& path, const std::function<void(const std::string&)>& use);

}  // namespace internal

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_TEMP_NAME_H_
