"""Adds a key to the kernel's user keyring as Go's azidentity does, or removes it.

Arguments: `add`, a description and the payload in hexadecimal; or `remove` and a description.
Exits with 1 if the kernel has no keyrings for this process.
"""

import ctypes
import platform
import sys

SYSCALLS = {"x86_64": (248, 250), "aarch64": (217, 219)}
USER_KEYRING = -4
PROCESS_KEYRING = -2
KEYCTL_UNLINK = 9
KEYCTL_LINK = 8
KEYCTL_SEARCH = 10

libc = ctypes.CDLL(None, use_errno=True)
add_key, keyctl = SYSCALLS[platform.machine()]


def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        sys.exit("errno %d" % ctypes.get_errno())
    return result


def text(value):
    return ctypes.c_char_p(value.encode())


action, description = sys.argv[1:3]
# Only a process that possesses the keyring may search its keys.
call(keyctl, KEYCTL_LINK, USER_KEYRING, PROCESS_KEYRING, 0, 0)
if action == "add":
    payload = bytes.fromhex(sys.argv[3])
    call(add_key, text("user"), text(description), payload, ctypes.c_size_t(len(payload)), USER_KEYRING)
else:
    key = call(keyctl, KEYCTL_SEARCH, PROCESS_KEYRING, text("user"), text(description), 0)
    call(keyctl, KEYCTL_UNLINK, key, USER_KEYRING, 0, 0)
