#include "io/own_permissions_win.h"

#include <memory>
// Last, because it needs windows.h.
#include <aclapi.h>

namespace stc {

namespace {

struct LocalFreer {
  void operator()(void* memory) const { LocalFree(memory); }
};

}  // namespace

OwnPermissions::OwnPermissions(PSECURITY_DESCRIPTOR descriptor) {
  ACL* all = nullptr;
  BOOL is_present = FALSE;
  BOOL is_default = FALSE;
  if (!GetSecurityDescriptorDacl(descriptor, &is_present, &all, &is_default) || !is_present ||
      all == nullptr) {
    return;
  }
  SECURITY_DESCRIPTOR_CONTROL control = 0;
  DWORD revision = 0;
  is_protected_ = GetSecurityDescriptorControl(descriptor, &control, &revision) &&
                  (control & SE_DACL_PROTECTED) != 0;
  exist_ = is_protected_;
  buffer_.resize((all->AclSize + sizeof(DWORD) - 1) / sizeof(DWORD));
  auto* const own = reinterpret_cast<ACL*>(buffer_.data());
  InitializeAcl(own, static_cast<DWORD>(buffer_.size() * sizeof(DWORD)), all->AclRevision);
  for (DWORD index = 0; index < all->AceCount; ++index) {
    void* entry = nullptr;
    if (!GetAce(all, index, &entry)) continue;
    const auto* const header = static_cast<ACE_HEADER*>(entry);
    // The new file inherits this entry from the directory, too, and follows its changes.
    if (!is_protected_ && (header->AceFlags & INHERITED_ACE) != 0) continue;
    if (AddAce(own, all->AclRevision, MAXDWORD, entry, header->AceSize)) exist_ = true;
  }
}

OwnPermissions OwnPermissions::Of(const std::wstring& path) {
  PSECURITY_DESCRIPTOR read = nullptr;
  if (GetNamedSecurityInfoW(path.c_str(), SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, nullptr,
                            nullptr, nullptr, nullptr, &read) != ERROR_SUCCESS) {
    return {};
  }
  const std::unique_ptr<void, LocalFreer> descriptor(read);
  return OwnPermissions(descriptor.get());
}

ACL* OwnPermissions::list() const {
  // The functions that take it do not write, though their parameters are not const.
  return exist_ ? reinterpret_cast<ACL*>(const_cast<DWORD*>(buffer_.data())) : nullptr;
}

DWORD OwnPermissions::GiveTo(HANDLE file) const {
  // UNPROTECTED: the file also inherits the entries of its directory. Source: SECURITY_INFORMATION
  // in the Windows documentation.
  const SECURITY_INFORMATION inheritance =
      is_protected_ ? PROTECTED_DACL_SECURITY_INFORMATION : UNPROTECTED_DACL_SECURITY_INFORMATION;
  return SetSecurityInfo(file, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION | inheritance, nullptr,
                         nullptr, list(), nullptr);
}

}  // namespace stc
