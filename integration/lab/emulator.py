# SPDX-License-Identifier: MIT
"""The emulator: QEMU as a Debian suite carries it, whatever this machine has: every machine runs the same lab.

It is unpacked, and its own dynamic loader starts it: neither root nor anything of this machine is needed.
"""

from pathlib import Path
from typing import Tuple

from integration.lab.commands import run
from integration.lab.foreignroot import LIBRARIES, ForeignRoot
from integration.lab.packages import PackageSource, unpack
from integration.lab.releases import EMULATOR_PACKAGES

_PROGRAM = "usr/bin/qemu-system-x86_64"
#: Where it finds what a machine boots with.
_FIRMWARE = ("usr/share/qemu", "usr/share/seabios")


def build(directory: Path, scratch: Path, suite: str) -> None:
    """Unpacks that of a suite into ``directory``; ``scratch`` is working space, which the caller removes."""
    source = PackageSource(suite, scratch / "apt")
    unpack(source.download(EMULATOR_PACKAGES), directory)
    run([*command(directory), "--version"], timeout=60)


def command(directory: Path) -> Tuple[str, ...]:
    """Returns the words that start it from where it was unpacked."""
    root = ForeignRoot(directory)
    modules = f"QEMU_MODULE_DIR={directory / LIBRARIES / 'qemu'}"
    firmware = [word for name in _FIRMWARE for word in ("-L", str(directory / name))]
    return ("env", modules, *root.argv(_PROGRAM), *firmware)
