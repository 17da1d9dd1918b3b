# SPDX-License-Identifier: MIT
"""QEMU is started from where it was unpacked; a stand-in plays the dynamic loader."""

import subprocess
from pathlib import Path

from integration.lab import emulator
from integration.lab.foreignroot import LIBRARIES

LOADER = '#!/bin/sh\necho "$QEMU_MODULE_DIR"; for word; do echo "$word"; done\n'


def test_it_takes_nothing_of_this_machine(tmp_path: Path) -> None:
    """Loader, libraries, modules and firmware are all of the unpacked packages."""
    loader = tmp_path / LIBRARIES / "ld-linux-x86-64.so.2"
    loader.parent.mkdir(parents=True)
    loader.write_text(LOADER)
    loader.chmod(0o755)
    told = subprocess.run([*emulator.command(tmp_path), "-m", "1"], capture_output=True, text=True, check=True)
    paths = [line for line in told.stdout.splitlines() if line.startswith("/")]
    assert [str(Path(path).relative_to(tmp_path)) for path in paths] == [
        f"{LIBRARIES}/qemu", LIBRARIES, "usr/bin/qemu-system-x86_64", "usr/share/qemu", "usr/share/seabios",
    ]
    assert told.stdout.endswith("\n-m\n1\n")
