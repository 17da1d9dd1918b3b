# SPDX-License-Identifier: MIT
"""What this machine lacks for the lab, and how it gets it."""

import os
import platform
from dataclasses import dataclass
from typing import Callable, List, Tuple

from integration.lab import aptsources
from integration.lab.commands import have, run
from integration.lab.errors import CommandError, HostCannotError

_INSTALL_LIMIT = 900.0

#: Programs that the lab runs, and the Debian package of each.
PROGRAMS: Tuple[Tuple[str, str], ...] = (
    ("as", "binutils"),
    ("ld", "binutils"),
    ("dpkg-deb", "dpkg"),
    ("tar", "tar"),
    ("apt-get", "apt"),
)


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        missing: What is missing, one line each.
        packages: The packages that bring it.
        hopeless: What no package brings.
    """

    missing: Tuple[str, ...]
    packages: Tuple[str, ...]
    hopeless: Tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether the lab can run."""
        return not self.missing and not self.hopeless

    @property
    def remedy(self) -> str:
        """The command that installs what is missing."""
        if not self.packages:
            return ""
        return "apt-get install --no-install-recommends " + " ".join(self.packages)


def diagnose(present: Callable[[str], bool] = have) -> Diagnosis:
    """Looks for everything that the lab needs.

    Args:
        present: Says whether a program is there.
    """
    absent = [(program, package) for program, package in PROGRAMS if not present(program)]
    hopeless: List[str] = []
    if platform.machine() != "x86_64":
        hopeless.append(f"an x86_64 machine (this is {platform.machine()})")
    try:
        aptsources.lines_for("bookworm")
    except HostCannotError as error:
        hopeless.extend(error.missing)
    return Diagnosis(
        tuple(f"program {program}" for program, _ in absent),
        tuple(sorted({package for _, package in absent})),
        tuple(hopeless),
    )


def demand(diagnosis: Diagnosis) -> None:
    """Raises HostCannotError unless the machine has everything."""
    if not diagnosis.healthy:
        raise HostCannotError((*diagnosis.missing, *diagnosis.hopeless), diagnosis.remedy)


def install(diagnosis: Diagnosis, tell: Callable[[str], None]) -> None:
    """Installs what is missing.

    Args:
        diagnosis: What was found.
        tell: Takes each line of progress.

    Raises:
        HostCannotError: Without root or apt, or where a package does not help.
    """
    installable = os.geteuid() == 0 and have("apt-get")
    if diagnosis.hopeless or (diagnosis.missing and not installable):
        demand(diagnosis)
    if diagnosis.packages:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        tell(f"installing {' '.join(diagnosis.packages)} (apt-get)")
        argv = ["apt-get", "install", "-y", "-q", "--no-install-recommends"]
        try:
            run(["apt-get", "update", "-q"], timeout=_INSTALL_LIMIT, env=env)
            run([*argv, *diagnosis.packages], timeout=_INSTALL_LIMIT, env=env)
        except CommandError as error:
            raise HostCannotError([str(error)], diagnosis.remedy) from None
    demand(diagnose())
