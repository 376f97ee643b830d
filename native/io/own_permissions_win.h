// OwnPermissions: those that somebody gave to a file, besides or instead of what it inherits from
// its directory.

#ifndef AZURE_SHARED_TOKEN_CACHE_NATIVE_OWN_PERMISSIONS_WIN_H_
#define AZURE_SHARED_TOKEN_CACHE_NATIVE_OWN_PERMISSIONS_WIN_H_

#include <string>
#include <vector>

#include "base/windows_api.h"

namespace stc {

// Thread-compatible value.
class OwnPermissions {
 public:
  OwnPermissions() = default;

  // Those that a security descriptor holds.
  explicit OwnPermissions(PSECURITY_DESCRIPTOR descriptor);

  // Those of the file at `path`. None if they cannot be read, for instance because there is none.
  static OwnPermissions Of(const std::wstring& path);

  bool exist() const { return exist_; }

  // Whether nothing is inherited besides.
  bool is_protected() const { return is_protected_; }

  // What was given, in its order. Null if nothing was.
  ACL* list() const;

  // Gives them to `file`, open with WRITE_DAC and READ_CONTROL. What is inherited comes from its
  // own directory. An error, or ERROR_SUCCESS.
  DWORD GiveTo(HANDLE file) const;

 private:
  bool exist_ = false;
  bool is_protected_ = false;
  // An ACL, which begins at a multiple of 4.
  std::vector<DWORD> buffer_;
};

}  // namespace stc

#endif  // AZURE_SHARED_TOKEN_CACHE_NATIVE_OWN_PERMISSIONS_WIN_H_
