// Modification times that other libraries see as newer, on POSIX systems.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_MODIFIED_TIME_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_MODIFIED_TIME_POSIX_H_

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/status.h"

namespace stc {

// Sets the modification time of an open file later than `previous` and not before now. Some
// libraries compare whole milliseconds with the time at which they loaded the cache, and the clock
// that kernels use for time stamps may be one tick behind. `previous`: nanoseconds, the time of the
// file that this one replaces, or 0. `*info`: the state of the file after the change. Returns false
// and sets errno on failure.
bool SetNewerModifiedTime(int fd, int64_t previous, struct stat* info);

// Creates the file at `path` if it is missing, and sets its modification time later than any that
// another library may have seen, so that all of them notice. For signal files, whose content does
// not matter.
Status TouchSignalFile(const std::string& path);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_MODIFIED_TIME_POSIX_H_
