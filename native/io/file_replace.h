// ReplaceFileContent: a file's content exchanged for another in one step, on Windows, where a file
// that somebody has open may be in the way.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_REPLACE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_REPLACE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "io/file_state_win.h"

namespace stc {

// Of the names of the files that stand beside the one that is replaced for a moment: see
// temp_name.h.
constexpr char kReplacementSuffix[] = ".tmp";

enum class ReplaceMode : uint8_t {
  // A new file takes the old one's name: whoever reads sees the one or the other, and a crash
  // leaves the one or the other.
  kRename,
  // The old file is written over, as the libraries that share the cache do. Readers without the
  // lock can see half of it, a crash can leave half of it. For those cases alone in which kRename
  // stays kBusy. The space that it takes is had before a byte changes. What is not there is
  // kRefused, unless it must be new.
  kInPlace,
};

enum class ReplaceOutcome : uint8_t {
  kReplaced,
  // Somebody has the file open in a way that forbids it. Nothing changed; trying again is the
  // caller's business, who may wait.
  kBusy,
  // The conditions were not met. Nothing changed.
  kRefused,
};

struct ReplaceConditions {
  // There must be no file yet.
  bool must_be_new = false;
  // If set: asked once, as late as possible, which is when the new content is ready.
  std::function<bool()> may_replace;
};

struct PlacedFile {
  // Right after the replacement.
  FileState state;
  // Somebody else has written into the new file already: then `state` is the one that it would have
  // without that.
  bool is_written_over = false;
};

// The file that ReplaceFileContent replaces, beside which its temporary files are: the one at
// `path`, UTF-8, or what a symbolic link there leads to. It need not exist. Thread-safe. Returns
// kStoreDenied or kIo.
Status ResolveReplaced(const std::string& path, std::wstring* target);

// Writes `pieces`, one after the other, to be the whole content of the file at `path`, UTF-8. The
// file need not exist. One round, never waits. To be called under the lock that goes with the file.
// A symbolic link stays, and what it leads to is replaced.
//
// The new file's permissions are those that somebody gave to the old one, else they are inherited
// from its directory: in a user's profile, that user, the system and administrators. Where those
// may not be given to a new file, the old one is written over, whatever the mode. Its time stamp
// is after the old one's and after now, by a millisecond at least, so that peers take it for new
// which compare whole milliseconds.
//
// Thread-safe. Returns kStoreDenied or kIo, the latter also if the directory is missing; after that
// the old file is as it was, and no temporary file is left, unless mode is kInPlace and writing
// failed half way. `*placed` is set if `*outcome` is kReplaced.
Status ReplaceFileContent(const std::string& path, const std::vector<std::string_view>& pieces,
                          ReplaceMode mode, const ReplaceConditions& conditions,
                          ReplaceOutcome* outcome, PlacedFile* placed);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_FILE_REPLACE_H_
