# SPDX-License-Identifier: MIT
"""What the rules and the model answer to a recipe that a real Xen has judged."""

from __future__ import annotations

import errno
import re
from dataclasses import replace
from functools import lru_cache
from typing import Dict, NamedTuple, Sequence, Tuple

from integration.verdicts import recipe as names
from integration.verdicts import store
from integration.verdicts.deaths import LET_RUN
from integration.verdicts.recipe import Recipe
from integration.verdicts.store import Recording, Verdict
from xenvcpu.abi import save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.errors import HypercallError, NoSuchVcpuError
from xenvcpu.model import build, worlds
from xenvcpu.model.domain import Domain, Shutdown
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.ports.guest import GuestPort, VcpuOp
from xenvcpu.rules import cpu_record, vcpuop
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.verdict import Finding

VCPUIDS = {
    names.FRESH: 1, names.FAR: names.FAR_VCPUID, names.REGISTERED: names.REGISTERED_VCPUID, names.INITIALISED: 0,
    names.MISSING: names.MISSING_VCPUID,
}
_GUEST = 1
_SHUTDOWNS = {None: store.RUNS, int(Shutdown.crash): store.CRASH, int(Shutdown.reboot): store.REBOOT}
_CALLER = re.compile(r"^d[01]v0 ")
_OF_THE_LOAD = ("HVM1 restore: failed", "HVM restore d1: failed", "domain_crash called", "Domain 1 reported crashed")
"""What the load prints for any record that is refused."""
_LINE_NUMBER = re.compile(r"(domain_crash called from .*):\d+")
_NOWHERE = 0xFFFFF000


class Answer(NamedTuple):
    """What Xen, the model of it, or its rules say."""

    errno: int
    lines: Tuple[str, ...]
    outcome: str = ""


@lru_cache(maxsize=None)
def recordings() -> Dict[str, Recording]:
    """All that are kept, by the name of the release."""
    return {path.name.split(".json")[0]: store.read(path) for path in store.files()}


def of_xen(verdict: Verdict) -> Answer:
    """What the real one said."""
    outcome = store.RUNS if verdict.outcome in (store.WAITS, store.STRAYS) else verdict.outcome
    return Answer(verdict.errno, tuple(map(_without_line_number, verdict.lines)), outcome)


def is_let_run(verdict: Verdict) -> bool:
    """Whether a state is one of those that the emulated processor runs though no other would."""
    claim = verdict.recipe.claim
    is_broken = claim is not None and claim.side == names.BROKEN and claim.rule in LET_RUN
    return is_broken and not verdict.errno and of_xen(verdict).outcome == store.RUNS


def _without_line_number(line: str) -> str:
    """Where in its source Xen crashes a domain is another line in every build."""
    return _LINE_NUMBER.sub(r"\1", line)


class Model:
    """One host of the model for each domain of a recording, driven through the package's own ports."""

    def __init__(self, recording: Recording) -> None:
        self.release = Release.parse(recording.xen)
        self.bases = recording.bases
        self.features = {name: Features(**given) for name, given in recording.features.items()}
        self._hosts: Dict[Tuple[str, str], _Host] = {}

    def image(self, recipe: Recipe) -> Image:
        """The context of a recipe."""
        return recipe.image(self.bases)

    def answer(self, recipe: Recipe) -> Answer:
        """What the model answers to a recipe; it forgets it again."""
        place = recipe.kind, recipe.domain
        if place not in self._hosts:
            self._hosts[place] = _Host(self.release, self.features[recipe.domain])
        host = self._hosts[place]
        if recipe.kind in (names.ENTRY_VCPUOP, names.ENTRY_RECORD):
            return host.enter(recipe, self)
        return host.load(recipe, self) if recipe.interface == names.RECORD else host.initialise(recipe, self)

    def disagrees(self, verdict: Verdict) -> bool:
        """Whether it answers something else than Xen did; of a state that only the emulator runs, it has to die."""
        answer, said = self.answer(verdict.recipe), of_xen(verdict)
        if is_let_run(verdict):
            return answer.errno != 0 or answer.outcome == store.RUNS
        return answer != said

    def refusals(self, recipe: Recipe) -> Sequence[Finding]:
        """What the rules answer to a context for a fresh vcpu."""
        vcpuid = VCPUIDS[recipe.target]
        features = replace(self.features[recipe.domain], registered_vcpu_info=recipe.target != names.FAR)
        judge = cpu_record if recipe.interface == names.RECORD else vcpuop
        return judge.refusals(self.image(recipe), self.release, features, vcpuid)


class _Host:
    """One model of Xen with one domain, whose calls come from inside and from dom0."""

    def __init__(self, release: Release, features: Features) -> None:
        self.host = worlds.new(str(release), ())
        self.host.vendor = features.vendor or ""
        self.domain = self._fresh(features)
        self.guest = GuestPort(ModelLibraries(self.host, _GUEST))
        self.dom0 = Dom0Port(ModelLibraries(self.host))
        self._index = self.host.console.produced

    def _fresh(self, features: Features) -> Domain:
        domain = build.add_domain(
            self.host, "judged", names.VCPUS, domid=_GUEST, features=replace(features, vendor=None, is_hap=True),
            paused=True, is_hap=features.is_hap,
        )
        vcpu = domain.vcpus[names.REGISTERED_VCPUID]
        vcpu.has_vcpu_info = vcpu.is_vcpu_info_registered = True
        return domain

    def _printed(self) -> Tuple[str, ...]:
        text, self._index = self.host.console.read(1 << 14, self._index, incremental=True)
        return tuple(_without_line_number(line[len("(XEN) ") :]) for line in text.decode().splitlines())

    def _initialise(self, recipe: Recipe, model: Model) -> int:
        vcpuid, number = VCPUIDS[recipe.target], 0
        try:
            if recipe.base == names.NOWHERE:
                self.guest._vcpu_op(VcpuOp.VCPUOP_initialise, vcpuid, _NOWHERE)
            else:
                self.guest.initialise(vcpuid, model.image(recipe))
        except NoSuchVcpuError:
            number = errno.ENOENT
        except HypercallError as error:
            number = error.errno or -1
        return number

    def initialise(self, recipe: Recipe, model: Model) -> Answer:
        """Gives a vcpu the context, and makes it fresh again."""
        number = self._initialise(recipe, model)
        if not number:
            self.dom0.reset_vcpu(_GUEST, VCPUIDS[recipe.target])
        return Answer(number, self._printed())

    def enter(self, recipe: Recipe, model: Model) -> Answer:
        """Gives the vcpu the state and lets it run; the domain is paused and sound again afterwards."""
        number = (self._load if recipe.interface == names.RECORD else self._initialise)(recipe, model)
        if number:
            return Answer(number, self._printed())
        if recipe.interface == names.VCPUOP:
            self.guest.up(VCPUIDS[names.FRESH])
        self.dom0.unpause(_GUEST)
        became = _SHUTDOWNS[self.domain.shutdown]
        self.dom0.pause(_GUEST)
        self.domain.shutdown = None
        self.dom0.reset_vcpu(_GUEST, VCPUIDS[names.FRESH])
        return Answer(0, self._printed(), became)

    def _load(self, recipe: Recipe, model: Model) -> int:
        record = Record(Typecode.CPU, VCPUIDS[recipe.target], model.image(recipe).pack())
        try:
            self.dom0.load_context(_GUEST, save_stream.join((save_stream.header(), record, save_stream.END)))
        except HypercallError as error:
            return error.errno or -1
        return 0

    def load(self, recipe: Recipe, model: Model) -> Answer:
        """Loads a record; a domain that crashes of it is sound again afterwards."""
        number = self._load(recipe, model)
        is_crashed = self.domain.shutdown == Shutdown.crash
        self.domain.shutdown = None
        return Answer(number, self._printed(), store.CRASH if is_crashed else "")


def differ(verdict: Verdict, findings: Sequence[Finding]) -> bool:
    """Whether the rules alone say something else; what the model prints besides is none of theirs."""
    numbers = {getattr(errno, finding.errno or "EINVAL") for finding in findings} or {0}
    lines = [finding.console for finding in findings if finding.console is not None]
    said = tuple(line.format(domid=_GUEST, vcpuid=1) for line in lines)
    printed = tuple(_CALLER.sub("", line) for line in verdict.lines)
    return numbers != {verdict.errno} or printed[: len(said)] != said or (not said and _explains(printed))


def _explains(printed: Tuple[str, ...]) -> bool:
    return any(not line.startswith(_OF_THE_LOAD) for line in printed)
