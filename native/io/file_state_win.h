// FileState: identity and state of a file on Windows.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_STATE_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_STATE_WIN_H_

#include <cstdint>
#include <string>

#include "base/windows_api.h"

namespace stc {

struct FileState {
  DWORD volume = 0;
  uint64_t index = 0;
  int64_t size = 0;
  // Ticks (windows_api.h); 0 if the file system does not store it.
  int64_t modified = 0;
  // Ticks of the last change of content or attributes. Programs rarely set it, unlike `modified`.
  int64_t changed = 0;
  DWORD attributes = 0;
};

// Reads the state of the file that `file` is open on. Returns false and sets GetLastError() on
// failure.
bool StateOf(HANDLE file, FileState* state);

bool IsSameFile(const FileState& a, const FileState& b);

// Returns whether size and modification time are the same. The files may be different ones.
bool IsSameContent(const FileState& a, const FileState& b);

// The stamp of a file in that state; the same as that of src/backend/js/cache-file.ts. Without the
// volume, because versions of Node report its number differently.
std::string StampOf(const FileState& state);

// Converts ticks to Unix milliseconds.
double UnixMilliseconds(int64_t ticks);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_STATE_WIN_H_
