# SPDX-License-Identifier: MIT
"""`tests/bare.py` with whatever is installed here; `tox -e bare` runs it where there is nothing but the wheel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("bare.py")


def test_importing_and_starting_use_cffi_and_nothing_else_beyond_the_standard_library() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_package_imported_by_the_core_is_noticed(tmp_path: Path) -> None:
    """The canary: an `xenvcpu` that imports pytest."""
    (tmp_path / "xenvcpu.py").write_text("import pytest\n")
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0 and "import xenvcpu imports" in done.stderr
