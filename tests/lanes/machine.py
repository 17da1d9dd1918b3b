# SPDX-License-Identifier: MIT
"""The machine: packages of Debian that stages use, installed where that may be, and the Pythons that are here."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Iterable, List, Set

from tests.lanes.stage import ROOT, Stage

_LOG = ROOT / "build/stages/apt.log"
_TO_BUILD = "."


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def pythons() -> List[str]:
    """The folders of interpreters that pyenv keeps, the newest of each release first."""
    versions = sorted((Path.home() / ".pyenv/versions").glob("3.*/bin"), reverse=True)
    return [str(path) for path in versions]


def absent(packages: Iterable[str]) -> Set[str]:
    """Those packages that are not installed; what a build needs counts as absent, for apt knows best."""
    wanted = sorted(packages)
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *wanted],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
    )
    there = {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" installed")}
    return set(wanted) - there


class Packages:
    """Installs what stages use, in the background; a stage waits for its own packages alone.

    Attributes:
        command: The command that installs what is missing, for people; empty if nothing is.
    """

    def __init__(self, stages: Iterable[Stage]) -> None:
        has_apt = shutil.which("apt-get") is not None
        self._missing = absent({name for stage in stages for name in stage.debian}) if has_apt else set()
        self._is_done = threading.Event()
        self.command = self._for_people()
        if self._missing and os.geteuid() == 0:
            threading.Thread(target=self._install, daemon=True).start()
        else:
            self._is_done.set()

    def _for_people(self) -> str:
        plain = sorted(self._missing - {_TO_BUILD})
        parts = [f"apt-get install --no-install-recommends {' '.join(plain)}"] if plain else []
        parts += ["apt-get build-dep ."] if _TO_BUILD in self._missing else []
        return " && ".join(parts)

    def _install(self) -> None:
        options = ["-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=600"]
        plain = sorted(self._missing - {_TO_BUILD})
        commands = [["apt-get", "update", "-q"]]
        commands += [["apt-get", "install", *options, *plain]] if plain else []
        commands += [["apt-get", "build-dep", *options, str(ROOT)]] if _TO_BUILD in self._missing else []
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            _LOG.parent.mkdir(parents=True, exist_ok=True)
            with _LOG.open("w") as log:
                for command in commands:
                    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, check=False)
        finally:
            self._is_done.set()

    def wait(self) -> None:
        """Returns when nothing is being installed."""
        self._is_done.wait()

    def are_ready(self, stage: Stage) -> bool:
        """Whether nothing that a stage uses is still being installed."""
        return self._is_done.is_set() or not self._missing & set(stage.debian)

    def lacking(self) -> str:
        """What could not be installed, with the command that does; empty if nothing is lacking."""
        still = absent(self._missing - {_TO_BUILD})
        if not still:
            return ""
        how = self.command if os.geteuid() else f"see {_LOG.relative_to(ROOT)}"
        return f"not installed: {' '.join(sorted(still))} ({how})"
