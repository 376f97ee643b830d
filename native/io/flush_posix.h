// Makes files survive a power loss, on POSIX systems.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FLUSH_POSIX_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FLUSH_POSIX_H_

#include <string>

namespace stc {

// Call it before a new file gets its name: after a power loss, a file system may remember the name
// and not the content. When it returns true, no later change of a name can reach the disk before
// the content of the file does. Returns false and sets errno if the content could not be written. A
// file system that cannot do this is no failure.
bool FlushContent(int fd);

// Writes the names of the files in the directory of `path` to the disk, so that a rename before the
// call survives a power loss. Returns false and sets errno on failure.
bool FlushNames(const std::string& path);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FLUSH_POSIX_H_
