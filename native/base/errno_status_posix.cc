#include <cerrno>
#include <string_view>
#include <system_error>

#include "base/errno_status.h"

namespace stc {

namespace {

// What is at a path, where the system's own words for the error do not tell. Empty for other
// errors.
std::string WhatIsThere(std::string_view operation, int error) {
  switch (error) {
    case EISDIR:
      return "a directory, where a file is needed. Move it away.";
    case ELOOP:
      return "a symbolic link that leads in a circle, or that must not be followed. Delete the "
             "link.";
    // The lock files' own error for what they find there.
    case EINVAL:
      return operation == "open"
                 ? "not a regular file, but a FIFO, a socket or a device. Move it away."
                 : "";
    // Only a link is resolved.
    case ENOENT:
      return operation == "realpath"
                 ? "a symbolic link whose target is missing. Delete the link, or "
                   "make the target."
                 : "";
    default:
      return "";
  }
}

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
  const std::string what = WhatIsThere(operation, error);
  if (!what.empty()) {
    return Status(StatusCode::kIo, operation, "errno", error, path + ": " + what);
  }
  return Status(is_denied ? StatusCode::kStoreDenied : StatusCode::kIo, operation, "errno", error,
                path + ": " + std::generic_category().message(error) + ". " + AdviceFor(error));
}

}  // namespace stc
