# SPDX-License-Identifier: MIT
"""What `make dist` and `make deb` have made; the tests of what is absent skip, by name."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Dict

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"


def only(folder: Path, pattern: str, how: str) -> Path:
    """The one file that a pattern names."""
    found = sorted(folder.glob(pattern))
    if not found:
        pytest.skip(f"{folder / pattern} is not there: {how}")
    assert len(found) == 1, found
    return found[0]


@pytest.fixture(scope="session")
def sdist() -> Path:
    return only(DIST, "xenvcpu-*.tar.gz", "make dist")


@pytest.fixture(scope="session")
def sources(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    return next(folder.iterdir())


@pytest.fixture(scope="session")
def wheel() -> Path:
    return only(DIST, "xenvcpu-*.whl", "make dist")


@pytest.fixture(scope="session")
def modules(wheel: Path) -> Dict[str, bytes]:
    """The files of the package in the wheel, by name, without what describes the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.startswith("xenvcpu/")}


@pytest.fixture(scope="session")
def library() -> Path:
    return only(DIST / "debian", "python3-xenvcpu_*_all.deb", "make deb")


@pytest.fixture(scope="session")
def command() -> Path:
    return only(DIST / "debian", "xenvcpu_*_all.deb", "make deb")


@pytest.fixture(scope="session")
def installed(library: Path, command: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages, unpacked into one root."""
    root = tmp_path_factory.mktemp("root")
    for deb in (library, command):
        subprocess.run(["dpkg-deb", "--extract", str(deb), str(root)], check=True)
    return root
