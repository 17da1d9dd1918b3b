# SPDX-License-Identifier: MIT
"""Rules as values, and how Xen walks them.

A *stage* is one step of Xen's function: it stops at the first stage that fails. Within a
stage every *chain* is evaluated, and each chain stops at its first broken rule (the
five segments of VCPUOP_initialise are one stage of five chains; most stages have one
chain of one rule).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterable, List, Mapping, Optional, Tuple

from xenvcpu.abi.layout import Image
from xenvcpu.context import attribute_word
from xenvcpu.context.written import Written
from xenvcpu.rules import control
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import ALWAYS, Release, Since
from xenvcpu.rules.verdict import Finding, Level

INTEL, AMD = "intel", "amd"
HARDWARE = {INTEL: "VT-x", AMD: "SVM"}
_BEYOND_32_BITS = 1 << 32
KILLS_HOST = ", or the whole host goes down"
"""What a message says behind a need that Xen itself faults on."""
_IN_DEBUG_BUILDS = " where Xen is a debug build"


class Case(Dict[str, int]):
    """The values under judgement by field name, with all that they are judged by.

    Attributes:
        image: The struct that the interface takes.
        written: The context that the struct was made of, or None where the struct itself was given. Findings name
            the fields, and show the values, of what was given.
        release: The running Xen.
        features: What the domain may do.
        cr4_allowed: The CR4 bits that it may set; when unknown, all that the release knows.
        efer_allowed: Likewise for EFER.
        physical_bits: Width of its physical addresses; 52 when unknown.
    """

    def __init__(
        self, values: Mapping[str, int], image: Image, release: Release, features: Features,
        fields: Optional[Mapping[str, str]] = None, written: Optional[Written] = None,
    ) -> None:
        super().__init__(values)
        self.image = image
        self.written = written
        self.release = release
        self.features = features
        self.cr4_allowed = control.allowed(features.cr4_valid, control.cr4_known(release), release)
        self.efer_allowed = control.allowed(features.efer_valid, control.efer_known(release), release)
        self.physical_bits = control.PHYSICAL_MOST if features.maxphysaddr is None else features.maxphysaddr
        self._fields = fields if written is None else written.names
        self._given = image.values if written is None else written.values

    def field(self, name: str) -> str:
        """The name that a judged value has in what was given."""
        return name if self._fields is None else self._fields.get(name, name)

    def is_given(self, name: str) -> bool:
        """Whether what was given has that field."""
        return self.field(name) in self._given

    def given(self, name: str) -> int:
        """What was given there; the judged value if there is no such field."""
        return self._given.get(self.field(name), self[name])

    def says(self, name: str) -> str:
        """A field and its value for people: `cs_ar = 0xc9b`; of attributes in another form than Xen's, both words."""
        field, value = self.field(name), self.given(name)
        if self.written is None or not field.endswith("_ar") or not value >> 12:
            return f"{field} = {value:#x}"
        meant = attribute_word.understood(value)
        return f"{field} = {value:#x} (in {meant.form} form, taken as {meant.ar:#x})"


Predicate = Callable[[Case], bool]
Text = Callable[[Case], str]


def _nothing(case: Case) -> str:
    return ""


@dataclass(frozen=True)
class Rule:
    """One thing that must hold.

    Attributes:
        name: Its name; the same thing has the same name for every field that it guards.
        fields: The fields that it looks at; a finding names the first.
        needed: What must be.
        remedy: How to get it.
        broken: Whether it does not hold.
        source: Where it stands: a Xen function, or a section of the SDM or APM.
        level: What follows when it is broken.
        releases: The releases in which it holds.
        vendor: The vendor on whose processors it holds, `intel` (VT-x) or `amd` (SVM); None for both.
        detail: What else was given, in words, put behind the first field's value.
        console: The line that Xen prints, without prefix; None where it is silent.
        kills_host: Whether Xen itself faults when it is broken, and takes every domain down; such rules are in
            `xenvcpu.rules.host`.
        is_of_debug_builds: Whether that is so in debug builds of Xen only.
    """

    name: str
    fields: Tuple[str, ...]
    needed: str
    remedy: str
    broken: Predicate
    source: str
    level: Level = Level.REJECTED
    releases: Since = ALWAYS
    vendor: Optional[str] = None
    detail: Text = _nothing
    console: Optional[Text] = None
    kills_host: bool = False
    is_of_debug_builds: bool = False

    @property
    def hardware(self) -> str:
        """`VT-x`, `SVM`, or an empty string when it holds on both."""
        return "" if self.vendor is None else HARDWARE[self.vendor]

    def applies(self, release: Release, features: Features) -> bool:
        """Whether it holds in a release, on the vendor's processors if that is known."""
        return release in self.releases and (self.vendor is None or features.vendor in (None, self.vendor))

    def finding(self, case: Case) -> Finding:
        """The finding for a case that breaks the rule."""
        first = self.fields[0]
        where = f" ({self.hardware} only)" if self.hardware else ""
        risk = KILLS_HOST if self.kills_host else ""
        builds = _IN_DEBUG_BUILDS if self.is_of_debug_builds else ""
        return Finding(
            rule=self.name, level=self.level, field=case.field(first), value=case.given(first),
            message=f"{case.says(first)}{self.detail(case)}: {self.needed}{risk}{builds}{where}; {self.remedy}",
            errno="EINVAL" if self.level is Level.REJECTED else None,
            console=None if self.console is None else self.console(case), source=self.source,
            kills_host=self.kills_host,
        )


Chain = Tuple[Rule, ...]
Stage = Tuple[Chain, ...]


def in_release(stages: Iterable[Stage], release: Release) -> Tuple[Stage, ...]:
    """The stages with only the rules that a release has."""
    kept = (tuple(tuple(rule for rule in chain if release in rule.releases) for chain in stage) for stage in stages)
    return tuple(stage for stage in kept if any(stage))


def judge(stage: Stage, case: Case) -> Tuple[Finding, ...]:
    """The findings of one stage: the first broken rule of each chain."""
    found = []
    for chain in stage:
        for rule in chain:
            if rule.broken(case):
                found.append(rule.finding(case))
                break
    return tuple(found)


def first_refusal(stages: Iterable[Stage], case: Case) -> Tuple[Finding, ...]:
    """What Xen answers: the findings of the first stage that fails."""
    for stage in stages:
        found = judge(stage, case)
        if found:
            return found
    return ()


def all_refusals(stages: Iterable[Stage], case: Case) -> Tuple[Finding, ...]:
    """The findings of all stages, for the checker; only the first stage that fails has console lines."""
    found: List[Finding] = []
    for stage in stages:
        new = judge(stage, case)
        found += (replace(finding, console=None) for finding in new) if found else new
    return tuple(found)


def single(*rules: Rule) -> Tuple[Stage, ...]:
    """Each rule as a stage of its own."""
    return tuple(((rule,),) for rule in rules)


def hex_c(value: int, width: int = 0) -> str:
    """A number as Xen's printk writes it with `%#lx` or `%#016lx`: zero has no 0x."""
    return f"{value:#0{width}x}" if value else f"{value:0{max(width, 1)}x}"


def is_canonical(address: int) -> bool:
    """Whether bits 63 to 47 are all the same."""
    return address >> 47 in (0, 0x1FFFF)


def is_wide(value: int) -> bool:
    """Whether a value needs more than 32 bits."""
    return value >= _BEYOND_32_BITS
