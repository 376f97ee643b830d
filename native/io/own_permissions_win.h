// OwnPermissions: the permissions that were set on a file itself, in addition to or instead of
// those that it inherits from its directory.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_OWN_PERMISSIONS_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_OWN_PERMISSIONS_WIN_H_

#include <string>
#include <vector>

#include "base/windows_api.h"

namespace stc {

// A value type.
class OwnPermissions {
 public:
  OwnPermissions() = default;

  // Takes the permissions from a security descriptor.
  explicit OwnPermissions(PSECURITY_DESCRIPTOR descriptor);

  // Reads those of the file at `path`. Empty if they cannot be read, for example if there is no
  // file.
  static OwnPermissions Of(const std::wstring& path);

  bool exist() const { return exist_; }

  // Whether the file inherits no permissions.
  bool is_protected() const { return is_protected_; }

  // The entries in their order. Null if exist() is false.
  ACL* list() const;

  // Sets them on `file`, which must be open with WRITE_DAC and READ_CONTROL. It still inherits from
  // its own directory unless is_protected(). Returns ERROR_SUCCESS or an error.
  DWORD GiveTo(HANDLE file) const;

 private:
  bool exist_ = false;
  bool is_protected_ = false;
  // Holds an ACL, which must be aligned to 4 bytes.
  std::vector<DWORD> buffer_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_IO_OWN_PERMISSIONS_WIN_H_
