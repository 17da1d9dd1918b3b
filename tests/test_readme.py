# SPDX-License-Identifier: MIT
"""What the README shows is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(README.read_text(encoding="utf-8")) if found == language]


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_the_session_runs_as_it_is_written(tmp_path: Path) -> None:
    (session,) = (block for block in blocks("console") if "model new" in block)
    lines = [line[2:] for line in session.splitlines() if line.startswith("$ ")]
    assert len(lines) == 7
    done = run("sh", "-euc", "\n".join(lines), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "vcpu 3 of web: started, flat32 at 0x100000" in done.stdout
    assert "warning" not in done.stdout + done.stderr


def test_the_python_example_starts_three_vcpus(tmp_path: Path) -> None:
    (example,) = blocks("python")
    done = run(sys.executable, "-c", example, folder=tmp_path)
    assert done.stdout == "['long64', 'flat32', 'flat32', 'flat32']\n", done.stderr


@pytest.mark.parametrize("text", blocks("toml"), ids=lambda text: text.split()[2].strip('"'))
def test_a_context_file_of_the_readme_is_accepted(tmp_path: Path, text: str) -> None:
    (tmp_path / "ap.toml").write_text(text)
    done = run("xenvcpu", "check", "ap.toml", folder=tmp_path)
    assert done.returncode == 0 and "accepted" in done.stdout, done.stdout + done.stderr
