# SPDX-License-Identifier: MIT
"""The sdist has the whole source, and the one wheel is what it yields, anywhere."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Dict

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_IN_SDIST = (".gitignore", "debian/")
"""What a clone has and a release has not: Debian's part comes with Debian's source package."""
CHANGED = {"setup.cfg"}
"""setuptools adds a section to it."""


def tracked() -> Dict[str, bytes]:
    """The files of the checkout, by name."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a clone: git knows no files here")
    return {name: (ROOT / name).read_bytes() for name in listed.stdout.split("\0") if name}


def test_the_sdist_has_the_whole_source(sources: Path) -> None:
    expected = {name: text for name, text in tracked().items() if not name.startswith(NOT_IN_SDIST)}
    assert {name for name in expected if not (sources / name).is_file()} == set()
    assert {name for name, text in expected.items() if (sources / name).read_bytes() != text} <= CHANGED


def test_the_wheel_has_the_whole_package(modules: Dict[str, bytes]) -> None:
    """And nothing that an earlier build has left."""
    assert modules == {name: text for name, text in tracked().items() if name.startswith("xenvcpu/")}


def test_one_wheel_serves_every_python(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        (about,) = [name for name in archive.namelist() if name.endswith(".dist-info/WHEEL")]
        text = archive.read(about).decode()
    assert "Root-Is-Purelib: true" in text and text.count("Tag: ") == 1 and "Tag: py3-none-any" in text


def test_the_sdist_installs_in_a_fresh_environment(
    sdist: Path, sources: Path, modules: Dict[str, bytes], tmp_path: Path
) -> None:
    """With the same files as the wheel; and what it installs starts vcpus, with cffi alone."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", sdist], check=True)
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "check": True}
    where = subprocess.run([python, "-I", "-c", "import xenvcpu; print(xenvcpu.__path__[0])"], **run).stdout.strip()
    package = Path(where)
    found = {path: path.read_bytes() for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {f"xenvcpu/{path.relative_to(package)}": text for path, text in found.items()} == modules
    assert "started vcpus" in subprocess.run([python, "-I", sources / "tests/bare.py"], **run).stdout
