# SPDX-License-Identifier: MIT
"""An emulated Xen host for one job, bounded in time, gone when it is left.

What is told apart here: a job that ended, whatever its result, and a host that
was lost on the way (QEMU ended, Xen or dom0 fell silent, a limit passed). A host
whose Xen has failed is neither, even if its job ended.
"""

import shutil
import subprocess
import tarfile
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Deque, Dict, Iterator, List, Optional, Type

from integration.lab import qemu, xenfaults
from integration.lab.errors import LostHostError, XenFailedError
from integration.lab.events import Event, read_events
from integration.lab.meter import Meter, make_page
from integration.limits import Limit

_CONSOLE_LINES = 60
_GUEST_LINES = 40


@dataclass(frozen=True)
class Limits:
    """Bounds in seconds of the host's time; emulation is slow, so they are wide.

    Attributes:
        boot: From the start of QEMU to the dom0's first word.
        silence: Without a sign of life after that.
        total: For everything.
    """

    boot: float = 240.0
    silence: float = 180.0
    total: float = 3600.0


class EmulatedHost:
    """Xen and dom0 in QEMU; use it as a context manager.

    Args:
        machine: What to boot.
        work: Directory for console and results.
        limits: Bounds in time.

    Attributes:
        console: The file with all that Xen and the dom0 print.
        commands: The socket of the command channel, there while the host is.
        page: The file in which it is written for how long QEMU has waited, there while the host is.
        stretched: The fields of each limit of ours that was stretched, as in an event.
    """

    def __init__(self, machine: qemu.Machine, work: Path, limits: Limits) -> None:
        self._machine = machine
        self._limits = limits
        self.console = work / "console.log"
        self._results = work / "results.tar"
        self._errors = work / "qemu.log"
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._guests: Dict[str, Deque[str]] = {}
        self.stretched: List[Dict[str, object]] = []

    def __enter__(self) -> "EmulatedHost":
        # the name of a socket may have 107 characters, which a path below our cache can exceed
        folder = Path(tempfile.mkdtemp(prefix="xenvcpu-lab-"))
        self.commands, self.page = folder / "commands", make_page(folder)
        argv = self._machine.command()
        argv += qemu.channel_arguments(self._machine, self.console, self._results, self.commands, self.page)
        with self._errors.open("wb") as errors:
            self._process = qemu.start(argv, errors)
        self._meter = Meter(self._process.pid, self.page)
        self._total = self.limit(self._limits.total)
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if self._process is not None:
            self._meter.close()
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        shutil.rmtree(self.commands.parent, ignore_errors=True)

    def limit(self, seconds: float) -> Limit:
        """Returns a limit in seconds of this host's time."""
        return Limit(seconds, self._meter.now, lambda **fields: self.stretched.append(fields))

    @property
    def waited(self) -> float:
        """For how many seconds QEMU has waited for a processor."""
        return self._meter.waited

    def events(self) -> Iterator[Event]:
        """Yields what the dom0 says, up to and including ``done``.

        Raises:
            LostHostError: The host was lost before that.
            XenFailedError: Xen failed, before that or without anybody noticing.
        """
        assert self._process is not None and self._process.stdout is not None
        silence = self.limit(min(self._limits.boot, self._total.left))
        ready = False
        for event in read_events(self._process.stdout, silence):
            ready = True
            silence.reset(min(self._limits.silence, self._total.left))
            if event.kind == "broken":
                raise self._lost(event.text("reason"))
            if event.kind == "guest":
                self._remember(event)
            if event.kind == "done":
                self._await_results(int(event.number("bytes")))
                yield event
                self._demand_sound_xen()
                return
            yield event
        raise self._lost(self._why(ready))

    def _why(self, ready: bool) -> str:
        assert self._process is not None
        try:
            code = self._process.wait(timeout=1)
            return f"QEMU ended by itself with status {code}"
        except subprocess.TimeoutExpired:
            pass
        if self._total.passed:
            return f"the limit of {self._limits.total:g} s for the whole run passed"
        if not ready:
            return f"dom0 did not come up within {self._limits.boot:g} s"
        return f"no sign of life for {self._limits.silence:g} s"

    def _remember(self, event: Event) -> None:
        lines = self._guests.setdefault(event.text("name"), deque(maxlen=_GUEST_LINES))
        lines.extend(event.text("text").splitlines())

    def _demand_sound_xen(self) -> None:
        lines = self._console_lines()
        found = xenfaults.faults(lines)
        if found:
            raise XenFailedError(found, xenfaults.around(lines))

    def _lost(self, reason: str) -> LostHostError:
        self._demand_sound_xen()
        errors = self._errors.read_text(errors="replace").strip()
        if errors:
            reason += f" (QEMU: {errors[-500:]})"
        guests = {name: list(lines) for name, lines in self._guests.items()}
        return LostHostError(reason, self.last_lines(), guests)

    def last_lines(self) -> List[str]:
        """Returns the end of what Xen and the dom0 printed."""
        return self._console_lines()[-_CONSOLE_LINES:]

    def _console_lines(self) -> List[str]:
        if not self.console.exists():
            return []
        text = self.console.read_bytes().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()]

    def _await_results(self, size: int) -> None:
        limit = self.limit(30)
        while self._results.stat().st_size < size:
            if limit.passed:
                raise self._lost(f"{size} bytes of results announced, fewer came")
            time.sleep(0.02)

    def unpack_results(self, target: Path) -> List[Path]:
        """Writes the job's result files below ``target`` and returns them."""
        written: List[Path] = []
        with tarfile.open(self._results, "r:") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                path = target / member.name
                if content is None or ".." in path.parts:
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
                written.append(path)
        return written
