#include <cerrno>
#include <system_error>

#include "base/errno_status.h"

namespace stc {

namespace {

const char* AdviceFor(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return "Run as the user who signed in, or correct the file's owner and mode.";
    case ENOENT:
      return "Its directory is missing: make it, or correct the path.";
    case ENOSPC:
    case EDQUOT:
      return "Free some disk space.";
    case EMFILE:
    case ENFILE:
      return "Too many files are open: close some, or raise the limit (ulimit -n).";
    case EROFS:
      return "Mount the file system for writing, or set tokenCachePersistenceOptions.readOnly.";
    default:
      return "Check the file and its file system.";
  }
}

}  // namespace

Status ErrnoStatus(const char* operation, const std::string& path, int error) {
  const bool is_denied = error == EACCES || error == EPERM;
  return Status(is_denied ? StatusCode::kStoreDenied : StatusCode::kIo, operation, "errno", error,
                path + ": " + std::generic_category().message(error) + ". " + AdviceFor(error));
}

}  // namespace stc
