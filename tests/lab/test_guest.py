# SPDX-License-Identifier: MIT
"""The tiny guest assembles, and its stubs have what is patched into them."""

import shutil
import struct
from pathlib import Path

import pytest

pytest.importorskip("cffi")

from integration.evidence import traps
from integration.guest import build, layout

SENTINELS = (
    layout.SENTINEL_DUMP,
    layout.SENTINEL_STACK,
    layout.SENTINEL_NOW,
    layout.SENTINEL_POLL,
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the directory of the assembled guest."""
    if not shutil.which("as") or not shutil.which("ld"):
        pytest.skip("no as and ld (package binutils)")
    directory = tmp_path_factory.mktemp("guest")
    build.assemble(directory)
    return directory


def test_kernel_is_a_pvh_image(image: Path) -> None:
    """A 32-bit ELF file with Xen's PHYS32_ENTRY note, small, at its address."""
    elf = (image / build.KERNEL).read_bytes()
    assert elf[:6] == b"\x7fELF\x01\x01"
    entry, program_headers = struct.unpack_from("<II", elf, 24)
    assert layout.KERNEL == layout.PARK < entry < layout.KERNEL + 16
    kind, offset, address, _, size, *_ = struct.unpack_from("<6I", elf, program_headers)
    assert (kind, address) == (1, layout.KERNEL)
    assert size < 2048
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", entry)
    assert note in elf


def test_the_disk_is_a_boot_sector_and_the_kernel_that_it_reads(image: Path) -> None:
    """A BIOS takes the sector; the request in it is for all others, which begin with the kernel's first bytes."""
    disk, elf = (image / build.DISK).read_bytes(), (image / build.KERNEL).read_bytes()
    (program_headers,) = struct.unpack_from("<I", elf, 28)
    _, offset, _, _, size, *_ = struct.unpack_from("<6I", elf, program_headers)
    assert disk[510:512] == b"\x55\xaa"
    assert len(disk) % 512 == 0 and disk[512 : 512 + size] == elf[offset : offset + size]
    request = struct.pack("<HHHHQ", 16, len(disk) // 512 - 1, 0, layout.BOOT_BUFFER >> 4, 1)
    assert disk[:510].count(request) == 1


@pytest.mark.parametrize("name", sorted(build.STUBS))
def test_stubs_carry_their_sentinels(image: Path, name: str) -> None:
    """The dump's address stands where it is patched, whole; one that is quiet or talks to a device has no clock."""
    code = (image / name).read_bytes()
    wide = name == "stub64.bin"
    counts = [code.count(struct.pack("<I", word) * (2 if wide else 1)) for word in SENTINELS]
    assert counts == {"quiet32.bin": [2, 1, 0, 0], "device.bin": [1, 0, 0, 0]}.get(name, [2, 1, 1, 1])
    assert len(code) < layout.PAGE


def test_programs_have_their_landmarks_where_the_layout_says(image: Path) -> None:
    """Instructions that a test knows by address stand there; each program fits its page, each handler its place."""
    assert all((image / name).stat().st_size <= layout.PAGE for name in build.PROGRAMS)
    extended = (image / "extended64.bin").read_bytes()
    assert extended[layout.EXT_SYSCALL - 2 : layout.EXT_SYSCALL] == b"\x0f\x05"
    assert extended[layout.EXT_FAULT :] == b"\x0f\x0b"
    last_inside = struct.pack("<I", layout.SEG_APIC_ID + 4)
    assert last_inside in (image / "segments32.bin").read_bytes()[layout.SEG_BEYOND :][:8]
    handlers = (image / "traps.bin").read_bytes()
    for vector in range(traps.VECTORS):
        noted = struct.pack("<BBBII", 0xC7, 4, 0x25, layout.TRAP_STATE + 16, vector)
        assert noted in handlers[vector * layout.TRAP_STRIDE :][: layout.TRAP_STRIDE]


def test_layout_has_no_overlaps() -> None:
    """Pages that the guest or dom0 fills do not share an address."""
    pages = [
        layout.KERNEL,
        layout.MAILBOX,
        layout.SHARED_INFO,
        layout.ARGUMENT,
        layout.STACK_TOP - layout.PAGE,
        layout.HYPERCALL_PAGE,
        layout.TRAP_IDT,
        layout.TRAP_GDT,
        layout.TRAP_HANDLERS,
        layout.TRAP_STATE,
        layout.EXT_STATE,
        *(layout.SEGMENTS + number * layout.PAGE for number in range(8)),
        layout.BATCH,
        *(layout.TABLES + number * layout.PAGE for number in range(9)),
        *(layout.STUBS + number * layout.PAGE for number in range(256)),
        *(layout.LOW_STUBS + number * layout.PAGE for number in range(2, 16)),
    ]
    assert len(set(pages)) == len(pages)
    assert all(page % layout.PAGE == 0 for page in pages)
    assert max(pages) < 64 << 20


def test_a_missing_assembler_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without binutils the error names the package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.AssemblyError, match="package binutils"):
        build.assemble(tmp_path / "out")
