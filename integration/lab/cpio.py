# SPDX-License-Identifier: MIT
"""The cpio "newc" archives that a Linux kernel unpacks as its first root.

Everything belongs to root in the archive, whoever builds it. Archives may be
concatenated: each is padded to 512 bytes, which the kernel needs between them.
"""

import os
import stat
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Optional, Sequence, Type

_BLOCK = 512


def left_out(name: str, patterns: Sequence[str]) -> bool:
    """Says whether a name in an archive matches one of the patterns of what is left out."""
    return any(fnmatch(name, pattern) for pattern in patterns)


class Archive:
    """Writes one archive; use it as a context manager.

    Args:
        path: File to create.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._inode = 0

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self._entry("TRAILER!!!", 0, b"")
            self._file.write(bytes(-self._file.tell() % _BLOCK))
        self._file.close()

    def _entry(self, name: str, mode: int, data: bytes, major: int = 0, minor: int = 0) -> None:
        self._inode += 1
        encoded = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self._inode, mode, 0, 0, links, 0, len(data), 0, 0, major, minor, len(encoded), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
        self._file.write(header + bytes(-len(header) % 4))
        self._file.write(data)
        self._file.write(bytes(-len(data) % 4))

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Adds a directory; its parents must have been added before."""
        self._entry(name, stat.S_IFDIR | mode, b"")

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Adds a file with its content."""
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name: str, target: str) -> None:
        """Adds a symbolic link."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        """Adds a character device."""
        self._entry(name, stat.S_IFCHR | 0o600, b"", major, minor)

    def tree(self, root: Path, prefix: str = "", skip: Sequence[str] = ()) -> None:
        """Adds what stands below a directory of this machine.

        Args:
            root: The directory; it is not added itself.
            prefix: Where it goes, without slashes at the ends.
            skip: Patterns of names in the archive that are left out.
        """
        with os.scandir(root) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            name = f"{prefix}/{entry.name}" if prefix else entry.name
            path = Path(entry.path)
            if left_out(name, skip):
                continue
            if entry.is_symlink():
                self.symlink(name, os.readlink(path))
            elif entry.is_dir():
                self.directory(name, stat.S_IMODE(path.stat().st_mode))
                self.tree(path, name, skip)
            elif entry.is_file():
                self.file(name, path.read_bytes(), stat.S_IMODE(path.stat().st_mode))

    def parents(self, name: str) -> None:
        """Adds the directories above ``name``."""
        parts = name.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            self.directory("/".join(parts[:count]))
