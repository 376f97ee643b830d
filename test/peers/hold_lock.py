"""Takes and holds a lock file as another library does.

Arguments: the kind of lock and the lock file. Standard input: `lock`, `unlock`, or `count` with
the path of a counter, which is incremented under the lock until a file with that name and
`.stop` exists. Each command is answered by one line: `locked` or `refused`, `unlocked`, `counted
<number>`; or finally `starved <number>` if it continued without the lock, as Python does.

`python` is the real lock of msal_extensions. The others make the same system calls as the
library on POSIX systems; the class comments name them.
"""

import errno
import fcntl
import logging
import os
import socket
import sys
import time


class PythonLock:
    """msal_extensions with portalocker: exclusive creation for 5 s, then flock for 5 s."""

    def __init__(self, path):
        from msal_extensions import CrossPlatLock

        self._path = path
        self._kind = CrossPlatLock
        self._lock = None
        self.is_starved = False
        logging.getLogger("msal_extensions").addHandler(Starvation(self))

    def lock(self):
        from portalocker.exceptions import LockException

        lock = self._kind(self._path)
        try:
            lock.__enter__()
        except LockException:
            return False
        self._lock = lock
        return True

    def unlock(self):
        self._lock.__exit__(None, None, None)


class Starvation(logging.Handler):
    """Opens any existing file after 5 s without the lock and takes the kernel's lock on it, even if
    it is deleted.
    """

    def __init__(self, lock):
        super().__init__()
        self._lock = lock

    def emit(self, record):
        self._lock.is_starved |= "failed to create lock file" in record.getMessage()


class PythonFileLock:
    """msal_extensions 1.3 without portalocker (`filelock.py`): exclusive creation for 5 s only."""

    def __init__(self, path):
        self._path = path
        self._file = None

    def lock(self):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                self._file = open(self._path, "x")
            except FileExistsError:
                time.sleep(0.25)
                continue
            self._file.write("%d %s" % (os.getpid(), sys.argv[0]))
            self._file.flush()
            return True
        return False

    def unlock(self):
        os.remove(self._path)
        self._file.close()


class GoLock:
    """microsoft-authentication-extensions-for-go (`cache/lock`, over gofrs/flock): tries flock
    every 10 ms for 5 s. Does not check the inode. Deletes by name after unlocking.
    """

    def __init__(self, path):
        self._path = path
        self._fd = -1

    def lock(self):
        end = time.monotonic() + 5
        while time.monotonic() < end:
            fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            if try_flock(fd):
                os.write(fd, b"{%d} %s" % (os.getpid(), sys.argv[0].encode()))
                self._fd = fd
                return True
            os.close(fd)
            time.sleep(0.01)
        return False

    def unlock(self):
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        remove_if_there(self._path)


class DotnetLock:
    """MSAL.NET's CrossPlatLock over .NET 7's FileStream (FileShare.None, DeleteOnClose): tries
    flock every 100 ms for 60 s, then checks that the name still refers to this inode. Deletes
    before unlocking.
    """

    def __init__(self, path):
        self._path = path
        self._fd = -1

    def lock(self):
        for _ in range(600):
            fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
            if try_flock(fd) and self._is_current(fd):
                os.write(fd, b"\xef\xbb\xbf%d %s\n" % (os.getpid(), os.path.basename(sys.argv[0]).encode()))
                self._fd = fd
                return True
            os.close(fd)
            time.sleep(0.1)
        return False

    def unlock(self):
        remove_if_there(self._path)
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)

    def _is_current(self, fd):
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False
        opened = os.fstat(fd)
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


class JavaLock:
    """msal4j-persistence-extension's CrossProcessCacheFileLock: tries createNewFile 60 times, every
    100 ms. Then, whether or not that succeeded, tries createNewFile and FileChannel.tryLock
    (fcntl on the whole file) 60 times. Deletes by name after unlocking.
    """

    def __init__(self, path):
        self._path = path
        self._fd = -1

    def lock(self):
        for _ in range(60):
            if self._create():
                break
            time.sleep(0.1)
        for _ in range(60):
            self._create()
            fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_SYNC | os.O_CLOEXEC, 0o666)
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                time.sleep(0.1)
                continue
            os.write(fd, b"%d %s" % (os.getpid(), socket.gethostname().encode()))
            self._fd = fd
            return True
        return False

    def unlock(self):
        fcntl.lockf(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)
        remove_if_there(self._path)

    def _create(self):
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        except FileExistsError:
            return False
        return True


class FlockLock:
    """A program that only uses flock, such as util-linux's `flock`: blocks until it has the lock,
    writes nothing and deletes nothing.
    """

    def __init__(self, path):
        self._path = path
        self._fd = -1

    def lock(self):
        self._fd = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return True

    def unlock(self):
        os.close(self._fd)


LOCKS = {
    "python": PythonLock,
    "python-file": PythonFileLock,
    "go": GoLock,
    "dotnet": DotnetLock,
    "java": JavaLock,
    "flock": FlockLock,
}


def try_flock(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_if_there(path):
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


def count(lock, counter):
    counted = 0
    while not os.path.exists(counter + ".stop"):
        is_held = lock.lock()
        if getattr(lock, "is_starved", False):
            # No clean-up: it would delete the lock file of the current holder.
            print("starved %d" % counted, flush=True)
            os._exit(0)
        if not is_held:
            continue
        with open(counter) as file:
            number = int(file.read())
        time.sleep(0.001)
        # In place, and always as long: locks that take deleted files do not exclude a reader.
        with open(counter, "r+") as file:
            file.write("%09d" % (number + 1))
        lock.unlock()
        counted += 1
        time.sleep(0.002)
    return counted


def main():
    kind, path = sys.argv[1:]
    lock = LOCKS[kind](path)
    print("ready", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split(maxsplit=1)
        if command == "lock":
            answer = "locked" if lock.lock() else "refused"
        elif command == "unlock":
            lock.unlock()
            answer = "unlocked"
        elif command == "count":
            answer = "counted %d" % count(lock, arguments[0].strip())
        else:
            answer = "unknown"
        print(answer, flush=True)


main()
