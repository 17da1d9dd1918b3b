# SPDX-License-Identifier: MIT
"""A minute of starts and stops while others pause, destroy, reboot, drive and read the same domain."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Set

import pytest

from integration.drivers import LISTED, REFUSED, SHOWN, STARTED, STOPPED, contest, parked, readings
from integration.evidence import processes, xl
from integration.evidence.control import Control
from integration.evidence.stubs import StubError
from integration.evidence.tiny import TinyGuest
from integration.forked import Forked, Task, command
from integration.guest import layout
from integration.limits import Limit
from integration.promises import IS_BRISK
from xenvcpu import errors
from xenvcpu.api import open_host
from xenvcpu.cli.exits import MEANINGS, Exit

Factory = Callable[..., TinyGuest]
Promise = Callable[[str, Mapping[str, int]], None]

#: Seconds of each race; more, where until then not all has happened that it is there for.
LENGTH = 2.0 if IS_BRISK else 12.0
VCPUS = (1, 2, 3)
NAME, UUID = "raced", "5afe600d-0000-4000-8000-726163657300"
#: A process that waits for another one may be waited for so long after the end.
GRACE = 60.0
#: Behind two who take turns with the lock a third one may come to nothing for longer than this.
PATIENCE = 5
SCHED_OP, SHUTDOWN, REBOOT = 29, 2, 1


class Race:
    """One race: processes that drive a domain until it is over, and what came of it.

    Args:
        folder: For the file that ends it.
        which: The domain, as they look it up.
        is_enough: Whether these are the refusals that it is there for, by the names of their errors.
    """

    def __init__(self, folder: Path, which: str, is_enough: Callable[[Set[str]], bool]) -> None:
        self.which = which
        self._is_enough = is_enough
        self.over = folder / "over"
        self._length = Limit(LENGTH)
        self._most = Limit(LENGTH + GRACE)
        self.outcomes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.commands: Counter[int] = Counter()
        self.tracebacks = 0
        self.wrong: List[str] = []
        self._stack = ExitStack()
        self._drivers: List[Forked] = []

    def drive(self, vcpuids: tuple[int, ...] = VCPUS) -> None:
        """Adds a process that starts and stops vcpus through the library."""
        self.add(contest(self.which, vcpuids, len(self._drivers), self.over.exists))

    def add(self, task: Task) -> None:
        """Adds a process; the race lasts from its first outcome on."""
        driver = self._stack.enter_context(Forked(task))
        self._drivers.append(driver)
        driver.await_lines(1)
        self._length.reset(LENGTH)
        self._most.reset(LENGTH + GRACE)

    def is_on(self) -> bool:
        """Whether it goes on: for its length, and then until a start, a stop and what was awaited have happened."""
        return not self._length.passed or not self._most.passed and not self._has_happened()

    def _has_happened(self) -> bool:
        told = [line for driver in self._drivers for line in driver.told()]
        refused = {line["error"] for line in told if line["outcome"] == REFUSED}
        return {STARTED, STOPPED} <= {line["outcome"] for line in told} and self._is_enough(refused)

    def run(self, *arguments: object) -> Forked:
        """Runs the command to its end and judges it; the caller may look at its output before it closes it."""
        process = self._stack.enter_context(Forked(command(*arguments)))
        code = process.wait(GRACE)
        said = process.errors()
        self.tracebacks += "Traceback" in said
        is_explained = code == Exit.DONE or said.startswith("xenvcpu: ") or "error" in said
        if code not in MEANINGS or "Traceback" in said or not is_explained:
            self.wrong.append(f"{arguments}: exit code {code}: {said!r}")
        self.commands[code] += 1
        return process

    def finish(self) -> None:
        """Ends the race and judges what every process said."""
        self.over.touch()
        with self._stack:
            for driver in self._drivers:
                code, said = driver.wait(GRACE), driver.errors()
                self.tracebacks += "Traceback" in said
                if (code, said) != (0, ""):
                    self.wrong.append(f"a driver: exit code {code}: {said!r}")
                for told in driver.told():
                    self.outcomes[told["outcome"]] += 1
                    if told["outcome"] == REFUSED:
                        kind = getattr(errors, told["error"])
                        assert issubclass(kind, errors.XenVcpuError) and kind is not errors.XenVcpuError
                        assert told["text"], told
                        if not self.refusals[told["error"]]:
                            print(f"{self.which}: {told['error']}: {told['text']}")
                        self.refusals[told["error"]] += 1

    def settle(self, promise: Promise, guest: TinyGuest, *, unharmed: bool = True, **more: int) -> None:
        """Counts for the line of the suite, and fails if anything is wrong; some of it must have happened.

        Args:
            promise: Takes the counts.
            guest: The guest as it is after the race.
            unharmed: Whether its boot vcpu has watched itself.
            more: Further counts.
        """
        harm = harm_of(guest, unharmed=unharmed)
        promise("races", {
            "s": round(LENGTH), "starts": self.outcomes[STARTED], "stops": self.outcomes[STOPPED],
            "reads": self.outcomes[LISTED] + self.outcomes[SHOWN],
            **{f"{kind}s": number for kind, number in sorted(self.refusals.items())},
            "commands": sum(self.commands.values()), **{name.replace("_", " "): n for name, n in more.items()},
            "wedged guests": int(bool(harm)), "tracebacks": self.tracebacks,
        })
        assert [*harm, *self.wrong] == []
        assert self.outcomes[STARTED] > 0 and self.outcomes[STOPPED] > 0, self.outcomes


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Imports here what otherwise each child would have to import."""
    with open_host("dom0") as host:
        host.domains()


@pytest.fixture
def race(tmp_path: Path) -> Iterator[Callable[..., Race]]:
    """Gives a function that begins a race; whatever happens, its processes end."""
    with ExitStack() as stack:

        def begin(which: str, is_enough: Callable[[Set[str]], bool] = lambda refused: True) -> Race:
            made = Race(tmp_path, which, is_enough)
            stack.callback(made._stack.close)
            stack.callback(made.over.touch)
            return made

        yield begin


@contextmanager
def shell(race: Race, script: str) -> Iterator[None]:
    """Repeats a piece of shell until the race is over; what it began it ends."""
    loop = f"while [ ! -e {race.over} ]; do {script}; echo; done"
    with subprocess.Popen(["sh", "-c", loop], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            race.over.touch()
            assert processes.await_end([process.pid], GRACE), f"does not end: {script}"


def ticks(race: Race) -> Iterator[None]:
    """Comes back every few milliseconds until the end of the race."""
    while race.is_on():
        yield
        time.sleep(0.01)


def harm_of(guest: TinyGuest, *, unharmed: bool = True) -> List[str]:
    """Returns what is wrong with a guest that has to run, held by nobody, driven by whoever wants to, undisturbed."""
    try:
        guest.await_beats(5)
        with open_host("dom0") as host:
            domain = host.domain(guest.domid)
            domain.stop(VCPUS)
            domain.start(VCPUS, parked)
    except (StubError, errors.XenVcpuError) as error:
        return [str(error)]
    watch, state, online = guest.watch(), guest.state() or "gone", guest.online()
    found = [f"its state is {state}"] if "p" in state else []
    found += [] if online == [0, *VCPUS] else [f"vcpus {online} are online"]
    is_sound = watch.rounds > 0 and (watch.errors, watch.tsc_back) == (0, 0)
    return found + ([f"its boot vcpu has seen {watch}"] if unharmed and not is_sound else [])


def watched(tiny_guest: Factory, **options: object) -> TinyGuest:
    guest = tiny_guest(vcpus=1 + len(VCPUS), **options)
    guest.watch_registers()
    return guest


def test_pauses_of_others(tiny_guest: Factory, race: Callable[..., Race], promise: Promise) -> None:
    """``xl pause`` and ``xl unpause`` in pairs: a start takes no pause of others and leaves none of its own."""
    guest = watched(tiny_guest)
    now = race(guest.name)
    now.drive()
    with shell(now, f"xl pause {guest.domid} && xl unpause {guest.domid}"), closing(Control()) as control:
        seen = Counter(control.is_paused(guest.domid) for _ in ticks(now))
    now.finish()
    assert seen[True] and seen[False]
    now.settle(promise, guest)


def test_a_pause_held_by_another_stays(tiny_guest: Factory) -> None:
    """A start within somebody else's pause succeeds; the guest is still held then, and runs when that one lets go."""
    guest = watched(tiny_guest)
    xl.run("pause", str(guest.domid))
    with open_host("dom0") as host:
        host.domain(guest.name).start(VCPUS, parked)
        assert "p" in (guest.state() or "")
        host.domain(guest.name).stop(VCPUS)
    assert "p" in (guest.state() or "")
    xl.run("unpause", str(guest.domid))
    assert harm_of(guest) == []


def test_pauses_stolen_by_others(tiny_guest: Factory, race: Callable[..., Race], promise: Promise) -> None:
    """Somebody gives back pauses that are not theirs: it is told, and the guest is not held in the end."""
    guest = tiny_guest(vcpus=1 + len(VCPUS))
    now = race(guest.name, lambda refused: errors.DomainChangedError.__name__ in refused)
    now.drive()
    with closing(Control()) as control:
        for _ in ticks(now):
            with suppress(OSError):
                control.unpause(guest.domid)
    now.finish()
    assert now.refusals[errors.DomainChangedError.__name__]
    now.settle(promise, guest, unharmed=False)


def test_two_at_once(tiny_guest: Factory, race: Callable[..., Race], promise: Promise) -> None:
    """Two loops and the command on the same vcpus: each start happens whole, or is told why not."""
    guest = watched(tiny_guest)
    now = race(guest.name)
    now.drive()
    now.drive()
    while now.is_on():
        now.run("stop", guest.name, "1-3", "--timeout", PATIENCE)
    now.finish()
    now.settle(promise, guest)


def test_destroyed_and_made_anew(tiny_guest: Factory, race: Callable[..., Race], promise: Promise) -> None:
    """The name and the UUID stay, the domain is another one: no start meets the wrong one, the last one runs."""
    dice = random.Random(1)
    now = race(NAME, bool)
    now.drive()
    lives = 0
    while now.is_on():
        guest = watched(tiny_guest, name=NAME, uuid=UUID)
        lives += 1
        time.sleep(dice.uniform(0, 0.5))
        if lives % 2:
            guest.destroy()
        else:
            xl.run("destroy", NAME)
    guest = watched(tiny_guest, name=NAME, uuid=UUID)
    now.finish()
    assert now.refusals
    now.settle(promise, guest, domains_destroyed=lives)


def test_reboots(tiny_guest: Factory, race: Callable[..., Race], promise: Promise) -> None:
    """The guest reboots of itself, again and again: under the same UUID another domain takes its place."""
    guest = tiny_guest(vcpus=1 + len(VCPUS), uuid=UUID, on_reboot="restart")
    now = race(UUID, bool)
    now.drive()
    boots = 0
    while now.is_on():
        guest.write(layout.ARGUMENT, REBOOT.to_bytes(4, "little"))
        guest.ask(SCHED_OP, SHUTDOWN, layout.ARGUMENT)
        guest.follow_reboot()
        boots += 1
    now.finish()
    assert now.refusals
    now.settle(promise, guest, unharmed=False, reboots=boots)
    guest.destroy()


def test_readers(tiny_guest: Factory, race: Callable[..., Race], promise: Promise) -> None:
    """``list`` and ``show`` between starts and stops see a whole state each time, or say that a vcpu is down."""
    guest = watched(tiny_guest)
    now = race(guest.name, lambda refused: errors.VcpuDownError.__name__ in refused)
    now.drive()
    now.add(readings(guest.name, VCPUS, now.over.exists))
    while now.is_on():
        listed = json.loads(now.run("list", guest.name, "--json").output())
        assert [vcpu["vcpuid"] for vcpu in listed["domains"][0]["vcpus"]] == [0, *VCPUS]
        shown = now.run("show", guest.name, "2", "--json")
        if shown.code == Exit.DONE:
            assert int(json.loads(shown.output())["rdi"], 16) == parked(2).rdi
    now.finish()
    assert now.outcomes[SHOWN] and now.refusals[errors.VcpuDownError.__name__], now.outcomes
    now.settle(promise, guest)
