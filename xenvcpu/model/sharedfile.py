# SPDX-License-Identifier: MIT
"""A file that several processes share: read at any time, changed by one at a time, always whole.

It is never written in place: the next version is written beside it, as `.NAME.new`, and takes
its name. So whoever reads it, with or without the lock, reads one version from end to end; a
writer that is killed leaves the version before, and at most one `.NAME.new`, which the next
writer uses again.

The lock is a flock on the file itself and dies with its process. A new version is locked
before it has the name, and whoever waited for the version before it then waits for that one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from io import FileIO
from typing import Optional, Tuple

MOST = 1 << 26
"""The largest file that is read, in bytes."""
_NEW_MODE = 0o644


def _is_at(file: FileIO, path: str) -> bool:
    """Whether an open file is the one that has that name now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _open_plain(path: str) -> FileIO:
    """Open a file to read; a pipe or a device is refused, not waited for."""
    file = FileIO(path, "r", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", path)
    return file


def _stamp(file: FileIO) -> Tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


class SharedFile:
    """One process's hold on the file.

    The version last read or written stays open, so that no other one can get its inode: a
    file at the path with the same inode, time and size is that version.

    Attributes:
        path: Its name, with no symbolic link in it.

    Synchronization: for one thread; a process that was forked off may use it as well.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self._version: Optional[FileIO] = None
        self._stamp: Tuple[int, ...] = ()
        self._lock: Optional[FileIO] = None

    def lock(self) -> None:
        """Wait until no other process changes it, and keep them from it until `unlock`.

        Raises:
            OSError: It is not there, or cannot be read.
        """
        while True:
            self.unlock()
            # Kept before it is locked: whatever interrupts this, `unlock` finds it.
            self._lock = _open_plain(self.path)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if _is_at(self._lock, self.path):
                return

    def unlock(self) -> None:
        """Let others have it; nothing if it is not locked."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def is_locked(self) -> bool:
        """Whether others are kept from changing it."""
        return self._lock is not None

    @property
    def is_known(self) -> bool:
        """Whether the version that is locked is the one last read or written here."""
        return self._lock is not None and _stamp(self._lock) == self._stamp

    def forget(self) -> None:
        """Take the file for one not known, until it is read again."""
        self._stamp = ()

    def read(self) -> bytes:
        """All that is in it.

        Raises:
            OSError: It cannot be read.
        """
        file = _open_plain(self.path)
        try:
            stamp = _stamp(file)
            if os.fstat(file.fileno()).st_size > MOST:
                raise OSError(errno.EFBIG, f"more than {MOST} bytes", self.path)
            data = file.readall()
        except BaseException:
            file.close()
            raise
        self._keep(file, stamp)
        return data

    def write(self, data: bytes) -> None:
        """Put a new version in its place. Call it locked, unless there was none yet.

        Raises:
            OSError: It cannot be written; the file is as it was.
        """
        file = _beside(self.path)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            is_new = not os.path.exists(self.path)
            os.fchmod(file.fileno(), _NEW_MODE if is_new else stat.S_IMODE(os.stat(self.path).st_mode))
            os.replace(file.name, self.path)
            self._keep(file, _stamp(file))
        except BaseException:
            if _is_at(file, file.name):
                os.unlink(file.name)
            file.close()
            self.forget()
            raise
        fcntl.flock(file, fcntl.LOCK_UN)

    def _keep(self, file: FileIO, stamp: Tuple[int, ...]) -> None:
        before, self._version, self._stamp = self._version, file, stamp
        if before is not None:
            before.close()

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self.unlock()
        self.forget()
        if self._version is not None:
            self._version.close()
            self._version = None


def _beside(path: str) -> FileIO:
    """The file to write a new version to: empty and locked, so that it is nobody else's until it has the name."""
    folder, base = os.path.split(path)
    name = os.path.join(folder, f".{base}.new")
    while True:
        try:
            file = FileIO(name, "w+", opener=_open_beside)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is_at(file, name):
            file.truncate(0)
            return file
        file.close()


def _open_beside(name: str, flags: int) -> int:
    """Open without truncating: another process may be writing to it."""
    return os.open(name, (flags & ~os.O_TRUNC) | os.O_NOFOLLOW, 0o600)
