// ReplaceFileContent: replaces the content of a file in one step on Windows, where processes that
// have the file open can prevent that.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_REPLACE_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_REPLACE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "io/file_state_win.h"

namespace stc {

// The suffix of temporary files beside the replaced one, see temp_name.h.
constexpr char kReplacementSuffix[] = ".tmp";

enum class ReplaceMode : uint8_t {
  // Renames a new file over the old one, after its content is on the disk. Readers see one or the
  // other, and a crash or a power loss leaves one or the other.
  kRename,
  // Overwrites the old file, as the other libraries do. Readers without the lock can see half of
  // the new content, and a crash or a power loss can leave half of it. Use it only if kRename stays
  // kBusy. Allocates the disk space before it changes a byte, and flushes the file at the end. The
  // outcome is kRefused if there is no file, unless it must be new.
  kInPlace,
};

enum class ReplaceOutcome : uint8_t {
  kReplaced,
  // Another process has the file open in a way that forbids it. Nothing changed; the caller may
  // retry later.
  kBusy,
  // The conditions were not met. Nothing changed.
  kRefused,
};

struct ReplaceConditions {
  // There must be no file yet.
  bool must_be_new = false;
  // Whether the replacement has to survive a power loss that follows at once. Without it, the name
  // may lead to the old content after one.
  bool durable = false;
  // If set: called once, as late as possible. Replaces only if it returns true.
  std::function<bool()> may_replace;
};

struct PlacedFile {
  // The state right after the replacement.
  FileState state;
  // Another process has already written to the new file; `state` is the one before that.
  bool is_written_over = false;
};

// Finds the file that ReplaceFileContent replaces, beside which its temporary files are: the one at
// `path` (UTF-8), or the target of a symbolic link there. It need not exist. Thread-safe. Returns
// kStoreDenied or kIo.
Status ResolveReplaced(const std::string& path, std::wstring* target);

// Makes `pieces`, one after the other, the whole content of the file at `path` (UTF-8). The file
// need not exist. Never waits. Call it with the cache's lock held. A symbolic link is kept, and its
// target is replaced.
//
// The new file gets the permissions that were set on the old one. Without such it inherits those of
// its directory: in a user's profile, that user, the system and administrators. If permissions may
// not be set on a new file, the old one is overwritten, whatever the mode. The modification time is
// at least a millisecond after that of the old file and after now, because some libraries compare
// whole milliseconds.
//
// Thread-safe. Returns kStoreDenied or kIo, the latter also if the directory is missing. The old
// file is unchanged then, and no temporary file is left, unless a write of kInPlace failed half
// way. Sets
// `*placed` if `*outcome` is kReplaced.
Status ReplaceFileContent(const std::string& path, const std::vector<std::string_view>& pieces,
                          ReplaceMode mode, const ReplaceConditions& conditions,
                          ReplaceOutcome* outcome, PlacedFile* placed);

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_FILE_REPLACE_H_
