# SPDX-License-Identifier: MIT
"""Stand-ins for programs: real processes on the PATH, not patched functions."""

import os
import sys
from pathlib import Path
from typing import Callable

import pytest

Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Gives a function that puts a Python script on the PATH under a name."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}{os.environ['PATH']}")

    def install(name: str, code: str) -> Path:
        path = directory / name
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(0o755)
        return path

    return install
