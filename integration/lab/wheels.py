# SPDX-License-Identifier: MIT
"""Python packages of the dom0: wheels for its Python, the project's among them."""

import hashlib
import shutil
import sys
from pathlib import Path
from typing import List, Optional, Sequence

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
    """Returns what is installed besides the project's wheel, in pip's syntax."""
    wanted = list(_REQUIREMENTS)
    if release.python in ("3.9", "3.10"):
        wanted.append("tomli")
    names = {constraint.split("<")[0]: constraint for constraint in release.constraints}
    wanted = [names.pop(name, name) for name in wanted]
    return wanted + sorted(names.values())


def fingerprint(wheel: Optional[Path]) -> str:
    """Returns a hash of a wheel's content."""
    return hashlib.sha256(wheel.read_bytes()).hexdigest() if wheel else "none"


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


def _install(directory: Path, release: Release, wanted: Sequence[str]) -> None:
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    argv += ["--target", str(directory), "--only-binary=:all:", "--no-warn-conflicts"]
    argv += ["--implementation", "cp", "--python-version", release.python]
    for platform in _PLATFORMS:
        argv += ["--platform", platform]
    run([*argv, *wanted], timeout=_LIMIT)


def _point_scripts(directory: Path) -> None:
    """Makes the commands start the dom0's Python instead of this machine's."""
    for script in directory.glob("*"):
        first, _, rest = script.read_bytes().partition(b"\n")
        if first.startswith(b"#!") and b"python" in first:
            script.write_bytes(b"#!/usr/bin/python3\n" + rest)


def pack(
    directory: Path, scratch: Path, release: Release, root: ForeignRoot, wheel: Optional[Path]
) -> None:
    """Makes ``python.cpio`` and ``guest-python.cpio`` in ``directory``.

    Args:
        directory: Where the result goes.
        scratch: Working space.
        release: The release whose Python will import the packages.
        root: That Python, which byte-compiles them.
        wheel: The project's wheel, if there is one.
    """
    base = scratch / "overlay"
    packages = base / TARGET
    packages.mkdir(parents=True)
    wanted = requirements(release) + ([str(wheel)] if wheel else [])
    _install(packages, release, wanted)
    _point_scripts(packages / "bin")
    root.compile_python(packages, base)
    for name, skip in (("python.cpio", ()), ("guest-python.cpio", _NOT_IN_GUEST)):
        with Archive(directory / name) as archive:
            archive.tree(base, skip=skip)
