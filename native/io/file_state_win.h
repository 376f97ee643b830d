// FileState: which file it is on Windows, and the state it is in.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_STATE_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_STATE_WIN_H_

#include <cstdint>
#include <string>

#include "base/windows_api.h"

namespace stc {

struct FileState {
  DWORD volume = 0;
  uint64_t index = 0;
  int64_t size = 0;
  // Ticks; 0 where the file system does not tell.
  int64_t modified = 0;
  // Last change of anything about the file, which cannot be set in passing as `modified` can.
  int64_t changed = 0;
  DWORD attributes = 0;
};

// Of the file that `file` is open on. False, with GetLastError(), if that cannot be told.
bool StateOf(HANDLE file, FileState* state);

bool IsSameFile(const FileState& a, const FileState& b);

// Whether it is the same file, or another, with the same content as far as its size and time tell.
bool IsSameContent(const FileState& a, const FileState& b);

// The stamp of a file in that state, as src/backend/js/cache-file.ts makes it of fs.stat: without
// the volume, whose number not every stat of Node tells alike.
std::string StampOf(const FileState& state);

// Unix milliseconds.
double UnixMilliseconds(int64_t ticks);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_STATE_WIN_H_
