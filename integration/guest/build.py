# SPDX-License-Identifier: MIT
"""Assembles the tiny guest and its stubs with ``as`` and ``ld``."""

import struct
import tempfile
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

from integration.guest import layout
from integration.limits import run

SOURCES = Path(__file__).resolve().parent
KERNEL = "tiny.elf"
#: The same as a disk, for a machine with a BIOS.
DISK = "tiny.img"
_LIMIT = 60.0

#: Stub files: source, word size of the object, further symbols.
STUBS: Dict[str, Tuple[str, int, Mapping[str, int]]] = {
    "stub16.bin": ("stub32.s", 32, {"WIDTH": 16, "QUIET": 0}),
    "stub32.bin": ("stub32.s", 32, {"WIDTH": 32, "QUIET": 0}),
    "quiet32.bin": ("stub32.s", 32, {"WIDTH": 32, "QUIET": 1}),
    "stub64.bin": ("stub64.s", 64, {}),
    "device.bin": ("device.s", 32, {}),
}

#: The same of programs that need nothing patched in; each page they need beside their own is named in ``layout``.
PROGRAMS: Dict[str, Tuple[str, int, Mapping[str, int]]] = {
    "segments16.bin": ("segments.s", 32, {"WIDTH": 16}),
    "segments32.bin": ("segments.s", 32, {"WIDTH": 32}),
    "segments64.bin": ("segments.s", 64, {"WIDTH": 64}),
    "extended64.bin": ("extended64.s", 64, {}),
    "traps.bin": ("traps.s", 64, {}),
    "watch64.bin": ("watch64.s", 64, {}),
    "mtrr.bin": ("mtrr.s", 32, {}),
}

_SECTOR = 512
#: Offset of the entry's address in an ELF file of 32 bits.
_ELF_ENTRY = 0x18


class AssemblyError(Exception):
    """``as`` or ``ld`` is missing or refused a source."""


def _run(argv: Sequence[str]) -> None:
    try:
        done = run(argv, _LIMIT)
    except FileNotFoundError:
        raise AssemblyError(f"{argv[0]} is not installed (package binutils)") from None
    if done.returncode or done.stderr.strip():
        raise AssemblyError(f"{' '.join(argv[:1])}: {done.stderr.strip()}")


def _object(source: str, bits: int, more: Mapping[str, int], target: Path) -> None:
    argv: List[str] = ["as", f"--{bits}", "-o", str(target)]
    for name, value in {**layout.symbols(), **more}.items():
        argv += ["--defsym", f"{name}={value:#x}"]
    _run([*argv, str(SOURCES / source)])


def assemble(directory: Path) -> None:
    """Makes the kernel and all stubs in ``directory``.

    Raises:
        AssemblyError: It was not possible; the text says why.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="xenvcpu-guest-") as name:
        unit = Path(name) / "unit.o"
        _object("tiny.s", 32, {}, unit)
        argv = ["ld", "-m", "elf_i386", "-static", "--build-id=none", "--no-warn-rwx-segments"]
        argv += [f"--defsym=KERNEL={layout.KERNEL:#x}", "-T", str(SOURCES / "tiny.lds")]
        _run([*argv, "-o", str(directory / KERNEL), str(unit)])
        _run([*argv, "--oformat=binary", "-o", str(directory / DISK), str(unit)])
        for target, (source, bits, more) in {**STUBS, **PROGRAMS}.items():
            _object(source, bits, more, unit)
            _flat(unit, bits, 0, directory / target)
        _make_bootable(directory, unit)


def _flat(unit: Path, bits: int, address: int, target: Path) -> None:
    emulation = "elf_i386" if bits == 32 else "elf_x86_64"
    argv = ["ld", "-m", emulation, "--oformat=binary", f"-Ttext={address:#x}", "-e", "0"]
    _run([*argv, "-o", str(target), str(unit)])


def _make_bootable(directory: Path, unit: Path) -> None:
    """Puts a boot sector before the kernel's bytes, and fills the last sector."""
    disk, sector = directory / DISK, directory / "boot.bin"
    kernel = disk.read_bytes()
    (entry,) = struct.unpack_from("<I", (directory / KERNEL).read_bytes(), _ELF_ENTRY)
    sectors = -(-len(kernel) // _SECTOR)
    _object("boot.s", 32, {"ENTRY": entry, "SECTORS": sectors}, unit)
    _flat(unit, 32, layout.BOOT_SECTOR, sector)
    disk.write_bytes(sector.read_bytes() + kernel.ljust(sectors * _SECTOR, b"\0"))
