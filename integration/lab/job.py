# SPDX-License-Identifier: MIT
"""What a dom0 is to do, and the files that go in with it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Sequence, Tuple

from integration import promises
from integration.guest import build as guest_build
from integration.lab.cpio import Archive

#: What the dom0 gets of the checkout: suites and data, never the package's source.
PROJECT_PATHS = ("integration", "tests/data")
PROJECT = "lab/project"
TINY_GUEST = "lab/guest/tiny"
LINUX_GUEST = "lab/guest/linux"
DEBS = "lab/deb"

_SKIP = ("*/__pycache__", "*/.*", "*.pyc")
_PYTEST_INI = "[pytest]\naddopts =\n"


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        kind: ``pytest``, ``exec`` or ``shell``.
        argv: The command line to run in the dom0.
        limit: After so many seconds the command is killed.
    """

    kind: str
    argv: Tuple[str, ...] = ()
    limit: float = 3000.0

    @classmethod
    def pytest(cls, arguments: Tuple[str, ...], limit: float, is_full: bool = False) -> "Job":
        """Returns the job that runs the suites.

        Args:
            arguments: Further arguments of pytest.
            limit: Limit in seconds.
            is_full: Whether promises are put to the test as often as they are quoted, not just a few times.
        """
        paths = () if names_tests(arguments) else ("integration",)
        argv = ["env", f"{promises.BRISK_VARIABLE}={'' if is_full else 1}", "python3", "-m", "pytest"]
        argv += ["-c", "pytest.ini", "--rootdir=.", "-v", "--color=no", "-p", "integration.lab.dom0.report"]
        return cls("pytest", (*argv, *arguments, *paths), limit)

    def files(self) -> Dict[str, bytes]:
        """Returns the generated files of this job by their names in the image."""
        fields = {"kind": self.kind, "argv": list(self.argv), "limit": self.limit}
        return {
            "lab/job.json": json.dumps(fields).encode(),
            f"{PROJECT}/pytest.ini": _PYTEST_INI.encode(),
        }


def names_tests(arguments: Tuple[str, ...]) -> bool:
    """Says whether arguments of pytest name files or tests."""
    return any(a.split("::")[0].rstrip("/").startswith("integration") for a in arguments)


def pack(job: Job, project: Path, scratch: Path, debs: Sequence[Path]) -> Path:
    """Makes the archive of a job: suites, tiny guest, Debian packages, description, first process."""
    tiny = scratch / "tiny"
    guest_build.assemble(tiny)
    target = scratch / "job.cpio"
    with Archive(target) as archive:
        for directory in ("lab", "lab/guest", TINY_GUEST, PROJECT, f"{PROJECT}/tests"):
            archive.directory(directory)
        archive.tree(tiny, TINY_GUEST)
        for name in PROJECT_PATHS:
            if (project / name).is_dir():
                archive.directory(f"{PROJECT}/{name}")
                archive.tree(project / name, f"{PROJECT}/{name}", _SKIP)
        archive.directory(DEBS)
        for deb in debs:
            archive.file(f"{DEBS}/{deb.name}", deb.read_bytes())
        for name, data in job.files().items():
            archive.file(name, data)
        init = project / "integration/lab/dom0/init"
        archive.file("init", init.read_bytes(), 0o755)
    return target


def pack_linux_guest(
    kernel: Path, initrd: Tuple[Path, ...], project: Path, scratch: Path
) -> Path:
    """Makes the archive that holds the Linux guest's kernel and initrd as files."""
    own = scratch / "guest-own.cpio"
    sources = project / "integration/lab/linux"
    with Archive(own) as archive:
        archive.directory("lab")
        archive.file("lab/agent.py", (sources / "agent.py").read_bytes())
        archive.file("init", (sources / "init").read_bytes(), 0o755)
    target = scratch / "linux.cpio"
    with Archive(target) as archive:
        for directory in ("lab", "lab/guest", LINUX_GUEST):
            archive.directory(directory)
        archive.file(f"{LINUX_GUEST}/vmlinux", kernel.read_bytes())
        parts = b"".join(part.read_bytes() for part in (*initrd, own))
        archive.file(f"{LINUX_GUEST}/initrd", parts)
    return target
