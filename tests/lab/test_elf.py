# SPDX-License-Identifier: MIT
"""Needed libraries are read as the dynamic loader reads them."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from integration.lab import elf


def test_what_the_loader_lists() -> None:
    """For a program of this machine, the libraries asked for are among those that ldd shows."""
    program = Path("/bin/mount")
    if not program.exists() or sys.platform != "linux":
        pytest.skip("no /bin/mount")
    asked = elf.needed(program.read_bytes())
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("no ldd")
    assert any(name.startswith("libc.so") for name in asked)
    assert all(name in listed for name in asked)


def test_scripts_need_nothing() -> None:
    """What is no 64-bit ELF file asks for nothing."""
    assert elf.needed(b"#!/bin/sh\n") == []
    assert elf.needed(b"\x7fELF\x01" + bytes(100)) == []


def image(entries: bytes, strings: int = 0x200, headers: int = 2) -> bytes:
    """An ELF file with one loaded segment, a dynamic section at 0x100 and names at 0x200."""
    start = b"\x7fELF\x02" + bytes(27) + struct.pack("<Q", 64) + bytes(16) + struct.pack("<H", headers) + bytes(6)
    load = struct.pack("<IIQQQQQQ", 1, 0, 0, 0, 0, 0x300, 0, 0)
    dynamic = struct.pack("<IIQQQQQQ", 2, 0, 0x100, 0x100, 0, 0x100, 0, 0)
    section = struct.pack("<qQ", 5, strings) + entries
    return (start + load + dynamic).ljust(0x100, b"\0") + section.ljust(0x100, b"\0") + b"\0libm.so.6\0../etc/x\0\xff\0"


def test_names_are_read_up_to_the_end_of_the_section() -> None:
    """What follows DT_NULL is not looked at."""
    assert elf.needed(image(struct.pack("<qQqQqQ", 1, 1, 0, 0, 1, 0x7777))) == ["libm.so.6"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x7fELF\x02", "header is cut off"),
        (image(b"")[:150], "program header is cut off at offset"),
        (image(b"", headers=65535), "program header is cut off"),
        (image(b"")[:0x108], "dynamic section is cut off"),
        (image(b"", strings=0x5000), "nothing is loaded"),
        (image(struct.pack("<qQ", 1, 11)), "no name of a library at offset 0x20b"),
        (image(struct.pack("<qQ", 1, 20)), "no name of a library"),
        (image(struct.pack("<qQ", 1, 2**64 - 1)), "name is cut off"),
        (image(struct.pack("<qQ", 1, 0)), "no name"),
        (image(b"")[:0x100] + bytes(0x100), "no string table"),
    ],
)
def test_a_damaged_file_is_told_with_its_offset(data: bytes, words: str) -> None:
    """Whatever it points to, and wherever a name would lead."""
    with pytest.raises(elf.ElfError, match=words) as caught:
        elf.needed(data)
    assert 0 <= caught.value.offset <= len(data)


def test_closure_goes_through(tmp_path: Path) -> None:
    """A library that is not in the directory is passed over; what is not a file as well."""
    assert elf.closure([tmp_path, tmp_path / "none", Path("/bin/mount")], tmp_path) == set()
