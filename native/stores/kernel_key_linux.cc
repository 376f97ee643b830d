#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "stores/kernel_key.h"

namespace stc {

namespace {

// Same as in libkeyutils, which three calls do not justify as a dependency.
long Keyctl(int operation, long a, long b = 0, long c = 0, long d = 0) {  // NOLINT: the kernel's
  return syscall(SYS_keyctl, operation, a, b, c, d);
}

Status KeyStatus(int error) {
  switch (error) {
    case ENOKEY:
    case EKEYEXPIRED:
    case EKEYREVOKED:
      return Status::NotFound();
    case ENOSYS:
    case EPERM:
      return Status(StatusCode::kStoreUnavailable, "keyctl", "errno", error,
                    "This process has no access to the kernel's keyrings, as in many containers. "
                    "Run outside the container, or use another cache.");
    case EACCES:
      return Status(StatusCode::kStoreDenied, "keyctl", "errno", error,
                    "The kernel refuses the key. Run as the user who signed in.");
    default:
      return Status(StatusCode::kIo, "keyctl", "errno", error, "The kernel's keyring failed.");
  }
}

}  // namespace

Status ReadKernelKey(const std::string& description, SecureBytes* payload) {
  // A process may search only keyrings that it possesses: make them reachable from its own process
  // keyring, which is private and ends with the process. If linking fails, the search does not find
  // the key.
  constexpr long kProcess = KEY_SPEC_PROCESS_KEYRING;  // NOLINT: the kernel's type
  Keyctl(KEYCTL_LINK, KEY_SPEC_USER_KEYRING, kProcess);
  Keyctl(KEYCTL_GET_PERSISTENT, -1, kProcess);
  const long key =  // NOLINT
      Keyctl(KEYCTL_SEARCH, kProcess, reinterpret_cast<intptr_t>("user"),
             reinterpret_cast<intptr_t>(description.c_str()), 0);
  if (key < 0) return KeyStatus(errno);
  // Maximum size of such a key. Source: keyrings(7).
  SecureBytes bytes(32767);
  const long size =  // NOLINT
      Keyctl(KEYCTL_READ, key, reinterpret_cast<intptr_t>(bytes.data()),
             static_cast<long>(bytes.size()));  // NOLINT
  if (size < 0) return KeyStatus(errno);
  bytes.Resize(static_cast<size_t>(size));
  *payload = std::move(bytes);
  return Status::Ok();
}

}  // namespace stc
