# SPDX-License-Identifier: MIT
"""Debian packages, fetched with apt directories of our own and unpacked.

The machine's package state is not touched and root is not needed.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Dict, List, Sequence, Set

from integration.lab import aptsources
from integration.lab.commands import run
from integration.lab.errors import CommandError

_NETWORK_LIMIT = 900.0
_UNPACK_LIMIT = 120.0

#: Not wanted in an image: documentation, and what only a full system uses.
_EXCLUDED = (
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./usr/share/info/*",
    "./usr/share/lintian/*",
    "./usr/share/bash-completion/*",
    "./usr/share/bug/*",
    "./usr/share/perl*",
    "./usr/bin/perl*",
    "*/x86_64-linux-gnu/perl*",
    "*/x86_64-linux-gnu/libperl*",
    "*/x86_64-linux-gnu/gconv/*",
    "*/lib/udev/*",
    "*/lib/systemd/*",
    "*/lib/debug/*",
    "*/pygments/lexers/[a-z]*",
    "*/xen-shim",
    "*/__pycache__/*",
    "./boot/*.efi",
)


class PackageSource:
    """apt for one suite, with lists and cache in a directory of its own.

    Args:
        suite: Debian suite.
        work: Scratch directory; the caller removes it.

    Attributes:
        name: The suite.
    """

    def __init__(self, suite: str, work: Path) -> None:
        self.name = suite
        self._work = work
        for name in ("state/lists/partial", "cache/archives/partial", "etc", "debs"):
            (work / name).mkdir(parents=True, exist_ok=True)
        (work / "state/status").write_text("")
        lines = aptsources.lines_for(suite)
        (work / "etc/sources.list").write_text("\n".join(lines) + "\n")
        self._apt("update")

    def _apt(self, *arguments: str) -> str:
        work = self._work
        options = {
            "Dir::Etc::sourcelist": work / "etc/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": work / "state",
            "Dir::State::status": work / "state/status",
            "Dir::Cache": work / "cache",
            "Dir::Log": work,
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Install-Recommends": "0",
            "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        argv = ["apt-get", "-q"]
        for key, value in options.items():
            argv += ["-o", f"{key}={value}"]
        return run([*argv, *arguments], timeout=_NETWORK_LIMIT)

    def download(self, packages: Sequence[str]) -> List[Path]:
        """Fetches packages with all they depend on.

        Returns:
            The ``.deb`` files, sorted by name.
        """
        self._apt("install", "--download-only", "-y", *packages)
        return sorted((self._work / "cache/archives").glob("*.deb"))

    def would_install(self, *debs: Path, recommended: bool = False) -> Set[str]:
        """Asks what would come with packages of our own, where nothing is installed yet.

        Args:
            debs: The ``.deb`` files.
            recommended: Whether what they recommend is wanted too.

        Returns:
            The names of all packages.

        Raises:
            CommandError: They cannot be installed in this suite.
        """
        option = f"APT::Install-Recommends={int(recommended)}"
        told = self._apt("install", "--simulate", "-y", "-o", option, *map(str, debs))
        return set(re.findall(r"^Inst (\S+)", told, re.MULTILINE))

    def download_behind(self, metapackage: str) -> Path:
        """Fetches only the versioned package that a metapackage stands for.

        Raises:
            CommandError: The metapackage does not lead to one.
        """
        argv = ("install", "--print-uris", "-y", metapackage)
        stem = metapackage.rsplit("-", 1)[0]
        name = re.search(rf"'[^']*/({stem}-\d[^_/']*)_", self._apt(*argv))
        if name is None:
            raise CommandError(argv, f"no versioned package behind {metapackage}", "")
        self._apt("install", "--download-only", "-y", name[1])
        return next((self._work / "cache/archives").glob(f"{name[1]}_*.deb"))


def unpack(debs: Sequence[Path], root: Path) -> Dict[Path, List[str]]:
    """Unpacks packages into ``root`` as if it were a merged-/usr system.

    Returns:
        The members of each package's archive that were wanted.
    """
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    return {deb: _unpack_one(deb, root) for deb in debs}


def _unpack_one(deb: Path, root: Path) -> List[str]:
    reader = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    writer = ["tar", "-xv", "--quoting-style=literal", "--keep-directory-symlink", "--no-same-owner"]
    writer += [f"--exclude={pattern}" for pattern in _EXCLUDED] + ["-C", str(root)]
    with subprocess.Popen(reader, stdout=subprocess.PIPE) as source:
        try:
            done = subprocess.run(
                writer,
                stdin=source.stdout,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_UNPACK_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            source.kill()
            raise CommandError(writer, "took too long", deb.name) from None
    if done.returncode or source.returncode:
        raise CommandError(writer, "failed", done.stdout.decode(errors="replace"))
    return done.stdout.decode(errors="replace").splitlines()
