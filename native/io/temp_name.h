// Names for files that stand beside another for a moment: `<path>.<pid>.<number><suffix>`. Whoever
// finds one can tell whose it was.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_TEMP_NAME_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_TEMP_NAME_H_

#include <functional>
#include <string>

namespace stc {

// A name that this process has not used before. To be created exclusively: another pid namespace
// may have the same pid.
std::string TempName(const std::string& path, const std::string& suffix);

// Calls `use` with each file there is whose name TempName(path, suffix) can have made, in whatever
// process.
void ForEachTemp(const std::string& path, const std::string& suffix,
                 const std::function<void(const std::string&)>& use);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_TEMP_NAME_H_
