# SPDX-License-Identifier: MIT
"""Assembles the tiny guest and its stubs with ``as`` and ``ld``."""

import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

from integration.guest import layout

SOURCES = Path(__file__).resolve().parent
KERNEL = "tiny.elf"
_LIMIT = 60.0

#: Stub files: source, word size of the object, further symbols.
STUBS: Dict[str, Tuple[str, int, Mapping[str, int]]] = {
    "stub16.bin": ("stub32.s", 32, {"WIDTH": 16, "QUIET": 0}),
    "stub32.bin": ("stub32.s", 32, {"WIDTH": 32, "QUIET": 0}),
    "quiet32.bin": ("stub32.s", 32, {"WIDTH": 32, "QUIET": 1}),
    "stub64.bin": ("stub64.s", 64, {}),
}


class AssemblyError(Exception):
    """``as`` or ``ld`` is missing or refused a source."""


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_LIMIT, check=False
        )
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
        for target, (source, bits, more) in STUBS.items():
            _object(source, bits, more, unit)
            emulation = "elf_i386" if bits == 32 else "elf_x86_64"
            argv = ["ld", "-m", emulation, "--oformat=binary", "-Ttext=0", "-e", "0"]
            _run([*argv, "-o", str(directory / target), str(unit)])
