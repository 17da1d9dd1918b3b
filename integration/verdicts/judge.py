# SPDX-License-Identifier: MIT
"""The real Xen as judge: gives it recipes, through both interfaces, and notes what it says.

Runs in a dom0. VCPUOP_initialise is done by a tiny guest, a list at a time; the rest goes through
the package's own port.
"""

from __future__ import annotations

import re
import struct
from collections import deque
from pathlib import Path
from typing import Callable, Deque, Dict, Iterable, Iterator, List, Mapping, Sequence, Tuple

from integration.evidence.stubs import await_true
from integration.evidence.tiny import TinyGuest
from integration.evidence.xl import ConfigValue
from integration.verdicts import entering, recipe as names
from integration.verdicts.bases import BASES
from integration.verdicts.recipe import Recipe
from integration.verdicts.store import CRASH, REBOOT, Verdict
from integration.verdicts.traces import VCPUS as TRACED
from integration.verdicts.traces import Bench, Seen, Step
from xenvcpu.abi import vcpu_hvm_context
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.ports.dom0 import Dom0Port

Say = Callable[[str], None]
_INITIALISE, _REGISTER_VCPU_INFO = 0, 10
_SEPARATOR_VCPU = 31
_FRESH = range(1, _SEPARATOR_VCPU)
_INFO_PAGE = 0x600
_SEPARATOR = 0xBAD0 << 48
_SAYS_SEPARATOR = re.compile(r"d\d+v0 RIP contains a non-canonical address \(0xbad0([0-9a-f]{12})\)")
_PREFIX = "(XEN) "
NOISE: Mapping[str, Sequence[str]] = {
    "drivers/char/ns16550.c": (r"uart interrupt taking more than .*",),
    "arch/x86/time.c": (r"Platform timer appears to have unexpectedly wrapped \d+\+? times\.",),
    "arch/x86/i8259.c": (r"cpu\d+: spurious 8259A interrupt: IRQ\d+",),
    "arch/x86/apic.c": (
        r"spurious APIC interrupt on CPU#\d+, should never happen\.", r"APIC error on CPU\d+: [0-9a-f]+\([0-9a-f]+\).*",
    ),
}
"""What Xen prints of its own accord when an emulated host is late with an interrupt or stands still, by its source."""
_NOISE = re.compile("|".join(pattern for patterns in NOISE.values() for pattern in patterns))
_STEP = 500
_TRACES = "traces"
_END_LIMIT = 60.0
_PLAIN: Mapping[str, object] = {"cr4_valid": 0x7FC, "efer_valid": 0xD01, "maxphysaddr": 40, "vendor": "amd"}
FEATURES: Mapping[str, Mapping[str, object]] = {
    names.PLAIN: _PLAIN, names.SHADOWED: {**_PLAIN, "is_hap": False},
    names.POOR: {"cr4_valid": 0x7FC, "efer_valid": 0, "maxphysaddr": 40, "vendor": "amd"},
}
"""What the emulated processor and the CPU policy leave the domains."""
OPTIONS: Mapping[str, Mapping[str, ConfigValue]] = {
    names.PLAIN: {}, names.POOR: {"cpuid": names.POOR_CPUID}, names.SHADOWED: {"hap": 0},
}


class JudgeError(Exception):
    """What Xen said cannot be matched with what it was asked."""


def named_alike(line: str, domid: int) -> str:
    """A console line with the domain called 1, and no "(XEN)"."""
    bare = line[len(_PREFIX) :] if line.startswith(_PREFIX) else line
    return re.sub(rf"\b(d|HVM|Dom|[Dd]omain ){domid}(?=\D)", r"\g<1>1", bare)


def is_noise(line: str) -> bool:
    """Whether a line has nothing to do with what Xen was asked."""
    return _NOISE.fullmatch(line) is not None


def judged_otherwise(
    judge: Callable[[Sequence[Recipe]], Iterable[Verdict]], recorded: Sequence[Verdict]
) -> List[Tuple[Verdict, Verdict]]:
    """Has recorded verdicts given again, each once.

    Args:
        judge: Gives the verdicts of recipes, in any order.
        recorded: Those that it should give.

    Returns:
        Each that differs, and what it is now.

    Raises:
        JudgeError: A recipe got no verdict, or two.
    """
    expected = {repr(verdict.recipe): verdict for verdict in recorded}
    pairs = []
    for now in judge([verdict.recipe for verdict in expected.values()]):
        then = expected.pop(repr(now.recipe), None)
        if then is None:
            raise JudgeError(f"asked once, judged twice: {now.recipe}")
        pairs.append((then, now))
    if expected:
        raise JudgeError(f"not judged: {', '.join(expected)}")
    return [(then, now) for then, now in pairs if then != now]


class Court:
    """Holds the domains that contexts are tried in; close it.

    Args:
        image: Directory of the assembled tiny guest.
        port: An open port of dom0.
    """

    def __init__(self, image: Path, port: Dom0Port) -> None:
        self._image = image
        self._port = port
        self._guests: Dict[Tuple[str, str], TinyGuest] = {}

    def close(self) -> None:
        """Destroys the domains."""
        while self._guests:
            self._guests.popitem()[1].destroy()

    def _guest(self, kind: str, domain: str) -> TinyGuest:
        key = kind, domain
        if key not in self._guests:
            vcpus = {names.VCPUOP: names.VCPUS, _TRACES: TRACED}.get(kind, 2)
            guest = self._guests[key] = TinyGuest(self._image, vcpus, 64, **OPTIONS[domain])
            if kind == names.VCPUOP:
                where = struct.pack("<QII", _INFO_PAGE, 0, 0)
                self._expect(guest.vcpu_op(_REGISTER_VCPU_INFO, names.REGISTERED_VCPUID, where))
            elif kind == names.RECORD:
                self._port.pause(guest.domid)
            elif kind != _TRACES:
                entering.prepare(guest)
        return self._guests[key]

    @staticmethod
    def _expect(result: int) -> None:
        if result:
            raise JudgeError(f"VCPUOP_register_vcpu_info: {result}")

    def _lines(self, domid: int) -> List[str]:
        lines = (named_alike(line, domid) for line in self._port.console().splitlines() if line)
        return [line for line in lines if not is_noise(line)]

    def judge(self, recipes: Sequence[Recipe], say: Say) -> Iterator[Verdict]:
        """Gives Xen every recipe; the verdicts come in another order."""
        by_place: Dict[Tuple[str, str], List[Recipe]] = {}
        for recipe in recipes:
            by_place.setdefault((recipe.kind, recipe.domain), []).append(recipe)
        for (kind, domain), given in by_place.items():
            judged = self._judged(kind, domain, given, say)
            for count, verdict in enumerate(judged, 1):
                if not count % _STEP:
                    say(f"{kind}, {domain}: {count} of {len(given)}")
                yield verdict

    def traces(self, sequences: Sequence[Sequence[Step]]) -> List[Tuple[List[Step], List[Seen]]]:
        """Does sequences of calls on a domain that runs, and notes what is to be seen after each call."""
        self.close()  # a vcpu that was let run may run still, and takes the processor
        found = []
        for steps in sequences:
            guest = self._guest(_TRACES, names.PLAIN)
            bench = Bench(self._port, guest.domid, guest.vcpu_op, self._end_traced)
            found.append((list(steps), bench.run(steps)))
        return found

    def _end_traced(self) -> None:
        """Destroys the domain of the sequences; its number is free once nobody holds a page of it any more."""
        guest = self._guests.pop((_TRACES, names.PLAIN))
        guest.destroy()
        await_true(lambda: guest.domid not in self._domids(), f"domain {guest.domid} does not end", _END_LIMIT)

    def _domids(self) -> List[int]:
        return [info.domid for info in self._port.domains()]

    def _judged(self, kind: str, domain: str, recipes: Sequence[Recipe], say: Say) -> Iterator[Verdict]:
        if kind == names.VCPUOP:
            return self._contexts(domain, recipes)
        return self._records(domain, recipes) if kind == names.RECORD else self._entered(kind, recipes, say)

    def _contexts(self, domain: str, recipes: Iterable[Recipe]) -> Iterator[Verdict]:
        left = deque(recipes)
        while left:
            yield from self._batch(self._guest(names.VCPUOP, domain), _one_for_each_vcpu(left))

    def _batch(self, guest: TinyGuest, batch: Sequence[Tuple[int, Recipe]]) -> Iterator[Verdict]:
        """As many contexts as there are vcpus; a call that always prints its number follows each."""
        calls = []
        for number, (vcpuid, recipe) in enumerate(batch):
            calls.append((_INITIALISE, vcpuid, _bytes(recipe)))
            calls.append((_INITIALISE, _SEPARATOR_VCPU, _separator(number)))
        self._port.console()
        answers = guest.vcpu_ops(calls)
        printed = list(_divided(self._lines(guest.domid)))
        if len(printed) != len(batch):
            raise JudgeError(f"{len(batch)} contexts, but {len(printed)} were told apart")
        for (vcpuid, recipe), answer, lines in zip(batch, answers[::2], printed):
            if answer == 0:
                self._port.reset_vcpu(guest.domid, vcpuid)
            yield Verdict(recipe, -answer, tuple(lines))

    def _records(self, domain: str, recipes: Iterable[Recipe]) -> Iterator[Verdict]:
        self._port.console()
        for recipe in recipes:
            guest = self._guest(names.RECORD, domain)
            vcpuid = names.MISSING_VCPUID if recipe.target == names.MISSING else 1
            record = Record(Typecode.CPU, vcpuid, recipe.image(BASES).pack())
            number = entering.load(self._port, guest.domid, record)
            lines = self._lines(guest.domid)
            is_crashed = bool(number) and self._port.domain(guest.domid).has_crashed
            if is_crashed:
                self._guests.pop((names.RECORD, domain)).destroy()
            yield Verdict(recipe, number, tuple(lines), CRASH if is_crashed else "")

    def _entered(self, kind: str, recipes: Iterable[Recipe], say: Say) -> Iterator[Verdict]:
        self._port.console()
        for recipe in recipes:
            say(f"{recipe.kind}: {recipe.base} {recipe.changes}")  # the emulator may be lost to it
            guest = self._guest(kind, recipe.domain)
            number = entering.give(self._port, guest, recipe)
            became = entering.outcome(self._port, guest.domid, recipe.image(BASES)) if not number else ""
            lines = entering.before_dump(self._lines(guest.domid))
            if became in (CRASH, REBOOT):
                self._guests.pop((kind, recipe.domain)).destroy()
                self._port.console()
            elif recipe.interface == names.VCPUOP and not number:
                self._port.reset_vcpu(guest.domid, 1)
            yield Verdict(recipe, number, tuple(lines), became)


def _bytes(recipe: Recipe) -> bytes | None:
    return None if recipe.base == names.NOWHERE else recipe.image(BASES).pack()


def _separator(number: int) -> bytes:
    return vcpu_hvm_context.LAYOUT_64B.image({"mode": 1, "rip": _SEPARATOR | number}).pack()


def _one_for_each_vcpu(left: Deque[Recipe]) -> List[Tuple[int, Recipe]]:
    """Takes recipes until one has no vcpu any more."""
    fresh = deque(_FRESH)
    places = {
        names.FAR: deque([names.FAR_VCPUID]), names.REGISTERED: deque([names.REGISTERED_VCPUID]), names.FRESH: fresh,
    }
    batch: List[Tuple[int, Recipe]] = []
    while left and len(batch) < len(_FRESH):
        target = left[0].target
        if target in places and not places[target]:
            break
        vcpuid = names.MISSING_VCPUID if target == names.MISSING else 0
        batch.append((places[target].popleft() if target in places else vcpuid, left.popleft()))
    return batch


def _divided(lines: Iterable[str]) -> Iterator[List[str]]:
    """The lines before each separator."""
    found: List[str] = []
    expected = 0
    for line in lines:
        match = _SAYS_SEPARATOR.fullmatch(line)
        if match is None:
            found.append(line)
            continue
        if int(match[1], 16) != expected:
            raise JudgeError(f"lines are missing before context {expected}")
        yield found
        found, expected = [], expected + 1
