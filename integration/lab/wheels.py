# SPDX-License-Identifier: MIT
"""Python packages of the dom0: wheels for its Python, the project's among them."""

import hashlib
import shutil
import sys
from pathlib import Path
from typing import List, Sequence

from integration.lab.commands import run
from integration.lab.cpio import Archive
from integration.lab.errors import LabError
from integration.lab.foreignroot import ForeignRoot
from integration.lab.releases import Release

#: Where they stand in the dom0 and in Linux guests.
TARGET = "lab/python"

_REQUIREMENTS = ("pytest", "cffi", "click", "rich")
#: Not in a Linux guest: pytest, and the lexers that rich could colour code with.
_NOT_IN_GUEST = tuple(
    f"{TARGET}/{pattern}"
    for pattern in (
        "*pytest*",
        "pluggy*",
        "iniconfig*",
        "pygments/lexers/[a-z]*",
        "pygments/lexers/__pycache__/[a-z]*",
    )
)
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
_LIMIT = 900.0
_TOP_FILES = (
    "setup.cfg",
    "setup.py",
    "pyproject.toml",
    "MANIFEST.in",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
)


def requirements(release: Release) -> List[str]:
    """Returns what is installed besides the project's wheel."""
    wanted = list(_REQUIREMENTS)
    if release.python in ("3.9", "3.10"):
        # pip judges "python_version < 3.11" by the interpreter that runs it
        wanted += ["tomli", "exceptiongroup", "typing-extensions"]
    return wanted


def fingerprint(wheel: Path) -> str:
    """Returns a hash of a wheel's content."""
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def source_files(project: Path) -> List[Path]:
    """Returns the files of a checkout that a built wheel depends on."""
    files = [project / name for name in _TOP_FILES]
    for folder in ("xenvcpu", "cbind"):
        files += sorted((project / folder).rglob("*"))
    return [path for path in files if path.is_file() and path.suffix != ".pyc"]


def source_fingerprint(project: Path) -> str:
    """Returns a hash of everything that a built wheel depends on."""
    total = hashlib.sha256()
    for path in source_files(project):
        total.update(f"{path.relative_to(project)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def build_wheel(project: Path, directory: Path, scratch: Path) -> None:
    """Builds the project's wheel into ``directory``.

    It is built from a copy: a build in the checkout would leave files there, and
    files left there would get into the wheel.
    """
    copy = scratch / "checkout"
    for path in source_files(project):
        target = copy / path.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    run([*argv, "--wheel-dir", str(directory), str(copy)], timeout=_LIMIT)
    if not list(directory.glob("*.whl")):
        raise LabError(f"no wheel came out of {project}")


def _for_python(release: Release) -> List[str]:
    argv = ["--only-binary=:all:", "--implementation", "cp", "--python-version", release.python]
    for platform in _PLATFORMS:
        argv += ["--platform", platform]
    return argv


def download(directory: Path, release: Release) -> None:
    """Fetches the wheels of all requirements, as the release's Python wants them.

    ``pip install`` would resolve for the interpreter that runs it; ``pip download``
    resolves for the one that it is told.
    """
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(directory)]
    run([*argv, *_for_python(release), *requirements(release)], timeout=_LIMIT)


def _install(directory: Path, release: Release, wheels: Sequence[Path]) -> None:
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-index"]
    argv += ["--no-deps", "--no-warn-conflicts", "--target", str(directory)]
    run([*argv, *_for_python(release), *map(str, wheels)], timeout=_LIMIT)


def _point_scripts(directory: Path) -> None:
    """Makes the commands start the dom0's Python instead of this machine's."""
    for script in directory.glob("*"):
        first, _, rest = script.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            script.write_bytes(b"#!/usr/bin/python3\n" + rest)


def pack(
    directory: Path, scratch: Path, release: Release, root: ForeignRoot, wheels: Sequence[Path]
) -> None:
    """Makes ``python.cpio`` and ``guest-python.cpio`` in ``directory``.

    Args:
        directory: Where the result goes.
        scratch: Working space.
        release: The release whose Python will import the packages.
        root: That Python, which byte-compiles them.
        wheels: Everything to install.
    """
    base = scratch / "overlay"
    packages = base / TARGET
    packages.mkdir(parents=True)
    _install(packages, release, wheels)
    _point_scripts(packages / "bin")
    root.compile_python(packages, base)
    for name, skip in (("python.cpio", ()), ("guest-python.cpio", _NOT_IN_GUEST)):
        with Archive(directory / name) as archive:
            archive.tree(base, skip=skip)
