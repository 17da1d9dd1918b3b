# SPDX-License-Identifier: MIT
"""Which shared libraries an ELF file asks for, and which of them it takes in all."""

import struct
from pathlib import Path
from typing import Iterable, Iterator, List, NamedTuple, Set, Tuple

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_NAME_MAX = 255


class ElfError(ValueError):
    """A file that begins as an ELF file is not one: the message names the offset.

    Attributes:
        offset: Where in the file.
    """

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(f"not an ELF file: {problem} at offset {offset:#x}")
        self.offset = offset


class _Header(NamedTuple):
    """A program header, as far as it matters here."""

    kind: int
    offset: int
    address: int
    size: int


def _read(data: bytes, form: str, offset: int, what: str) -> Tuple[int, ...]:
    if offset + struct.calcsize(form) > len(data):
        raise ElfError(f"{what} is cut off", min(offset, len(data)))
    return struct.unpack_from(form, data, offset)


def needed(data: bytes) -> List[str]:
    """Returns the names of the libraries that a 64-bit ELF file asks for.

    Anything else, a script for instance, asks for none.

    Raises:
        ElfError: It points behind its end, or asks for what is no name of a file.
    """
    if data[:5] != b"\x7fELF\x02":
        return []
    headers = list(_headers(data))
    dynamic = next((header for header in headers if header.kind == _PT_DYNAMIC), None)
    if dynamic is None:
        return []
    entries = list(_entries(data, dynamic))
    strings = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    if strings is None:
        raise ElfError("no string table in the dynamic section", min(dynamic.offset, len(data)))
    for header in headers:
        if header.kind == _PT_LOAD and header.address <= strings < header.address + header.size:
            table = strings - header.address + header.offset
            return [_name(data, table + value) for tag, value in entries if tag == _DT_NEEDED]
    where = min(dynamic.offset, len(data))
    raise ElfError(f"nothing is loaded at the string table's address, {strings:#x}, in the dynamic section", where)


def _headers(data: bytes) -> Iterator[_Header]:
    start, count = _read(data, "<Q", 32, "the header")[0], _read(data, "<H", 56, "the header")[0]
    for index in range(count):
        kind, _, offset, address, _, size = _read(data, "<IIQQQQ", start + 56 * index, "a program header")
        yield _Header(kind, offset, address, size)


def _entries(data: bytes, dynamic: _Header) -> Iterator[Tuple[int, int]]:
    for offset in range(dynamic.offset, dynamic.offset + dynamic.size // 16 * 16, 16):
        tag, value = _read(data, "<qQ", offset, "the dynamic section")
        if tag == _DT_NULL:
            return
        yield tag, value


def _name(data: bytes, offset: int) -> str:
    """The name of a library: of a file in a folder, so that it leads to no other."""
    if offset >= len(data):
        raise ElfError("a name is cut off", len(data))
    name = data[offset : offset + _NAME_MAX + 1].partition(b"\0")[0]
    if not 0 < len(name) <= _NAME_MAX or b"/" in name or name in (b".", b"..") or not name.isascii():
        raise ElfError("no name of a library", offset)
    return name.decode("ascii")


def closure(files: Iterable[Path], directory: Path) -> Set[str]:
    """Returns the names of all libraries of a directory that files need to run.

    Args:
        files: Programs and libraries.
        directory: Where libraries are looked for.

    Raises:
        ElfError: One of them is damaged.
    """
    found: Set[str] = set()
    waiting = [path for path in files if path.is_file()]
    while waiting:
        for name in needed(waiting.pop().read_bytes()):
            if name not in found and (directory / name).is_file():
                found.add(name)
                waiting.append(directory / name)
    return found
