# SPDX-License-Identifier: MIT
"""Which shared libraries an ELF file asks for, and which of them it takes in all."""

import struct
from pathlib import Path
from typing import Iterable, List, Set

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB = 1, 5


def needed(data: bytes) -> List[str]:
    """Returns the names of the libraries that a 64-bit ELF file asks for.

    Anything else, a script for instance, asks for none.
    """
    if data[:5] != b"\x7fELF\x02":
        return []
    start, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    headers = [struct.unpack_from("<IIQQQQ", data, start + 56 * index) for index in range(count)]
    loads = [header for header in headers if header[0] == _PT_LOAD]
    for kind, _, offset, _, _, size in headers:
        if kind == _PT_DYNAMIC:
            words = struct.unpack_from(f"<{size // 8}q", data, offset)
            entries = list(zip(words[::2], words[1::2]))
            strings = next(value for tag, value in entries if tag == _DT_STRTAB)
            table = next(
                strings - address + where
                for _, _, where, address, _, length in loads
                if address <= strings < address + length
            )
            return [_string(data, table + value) for tag, value in entries if tag == _DT_NEEDED]
    return []


def _string(data: bytes, offset: int) -> str:
    return data[offset : data.index(b"\0", offset)].decode()


def closure(files: Iterable[Path], directory: Path) -> Set[str]:
    """Returns the names of all libraries of a directory that files need to run.

    Args:
        files: Programs and libraries.
        directory: Where libraries are looked for.
    """
    found: Set[str] = set()
    waiting = [path for path in files if path.is_file()]
    while waiting:
        for name in needed(waiting.pop().read_bytes()):
            if name not in found and (directory / name).is_file():
                found.add(name)
                waiting.append(directory / name)
    return found
