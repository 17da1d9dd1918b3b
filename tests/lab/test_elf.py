# SPDX-License-Identifier: MIT
"""Needed libraries are read as the dynamic loader reads them."""

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


def test_closure_goes_through(tmp_path: Path) -> None:
    """A library that is not in the directory is passed over; what is not a file as well."""
    assert elf.closure([tmp_path, tmp_path / "none", Path("/bin/mount")], tmp_path) == set()
