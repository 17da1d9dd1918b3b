# SPDX-License-Identifier: MIT
"""The caller's own domain, driven from inside the guest."""

from __future__ import annotations

import errno
import hashlib
import time
from contextlib import contextmanager
from functools import partial
from typing import Callable, Iterator, List, Optional, Sequence, Tuple, Type

from xenvcpu import guestleft
from xenvcpu.availability import Offline, nobody
from xenvcpu.abi.layout import Image
from xenvcpu.abi.vcpu_info import Runstate
from xenvcpu.allowances import NONE, Allowance, Allowances
from xenvcpu.audit import Audit, no_audit, outcome_of
from xenvcpu.errors import (
    ChangeError, HostError, LastVcpuError, NoSuchVcpuError, StartError, StopError, XenVcpuError,
)
from xenvcpu.execute import StartReport
from xenvcpu.guestplan import GuestPlan, make_guest_plan
from xenvcpu.heldsignals import held_signals
from xenvcpu.newvcpu import Render
from xenvcpu.ports.failure import failure
from xenvcpu.ports.guest import GuestPort, VcpuOp
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.vcpuop import LEGACY_MAX_VCPUS, needs_vcpu_info
from xenvcpu.vcpustate import VcpuState

_DOWN_TIMEOUT = 5.0


@contextmanager
def _whole(what: str, failed: Type[ChangeError], left: Callable[[], Tuple[str, ...]]) -> Iterator[None]:
    """A change that is not interrupted; when it fails, what it leaves is told with its error.

    Args:
        what: What it is, for people.
        failed: The error for one that something else than Xen stops.
        left: Puts back what can be put back, and says what is not as it was.
    """
    with held_signals():
        try:
            yield
        except BaseException as error:
            told = left()
            if isinstance(error, XenVcpuError):
                error.restored, error.left = not told, told
                raise
            if not told:
                raise
            failure = failed(f"{what} was interrupted ({type(error).__name__})", domid=None, restored=False)
            failure.left = told
            raise failure from error


class GuestDomain:
    """The domain that this program runs in, through VCPUOP.

    Attributes:
        kept_offline: From some of its vcpus to those that its toolstack has offline; asked when called.

    Synchronization: not for use from two threads at once.
    """

    interface = "vcpuop"
    name = "self"
    domid: Optional[int] = None
    uuid: Optional[str] = None

    def __init__(
        self, port: GuestPort, release: Release, audit: Audit = no_audit, offline: Offline = nobody
    ) -> None:
        self._port = port
        self._audit = audit
        self.release = release
        self.kept_offline = offline

    def __repr__(self) -> str:
        return "<GuestDomain self>"

    @contextmanager
    def _change(
        self, verb: str, vcpuids: Sequence[int], failed: Type[ChangeError], left: Callable[[], Tuple[str, ...]], *,
        digest: str = "",
    ) -> Iterator[None]:
        """A change of these vcpus, logged however it ends; see `_whole`."""
        outcome, restored, lines, said = "done", None, (), ""
        try:
            with _whole(f"the {verb}", failed, left):
                yield
        except BaseException as error:
            outcome, restored, said = "failed", getattr(error, "restored", None), str(error)
            lines = getattr(error, "left", ())
            raise
        finally:
            if vcpuids:
                self._audit(verb, "domain=self", vcpuids, outcome_of(
                    outcome, restored, lines, digest=digest, error=said
                ))

    def _scan(self) -> Iterator[Tuple[int, bool]]:
        vcpuid = 0
        while True:
            try:
                is_up = self._port.is_up(vcpuid)
            except NoSuchVcpuError:
                return
            yield vcpuid, is_up
            vcpuid += 1

    def vcpus(self, *, registers: bool = False) -> Tuple[VcpuState, ...]:
        """Every vcpu. Whether it is initialised is unknown only where Xen wants a vcpu_info first (32 and above).

        Args:
            registers: As in `Dom0Domain.vcpus`; from inside there are none to be had.
        """
        states = []
        for vcpuid, is_up in self._scan():
            info = self._port.runstate(vcpuid)
            known = info["state"] in tuple(Runstate)
            runstate = Runstate(info["state"]).name if known else str(info["state"])
            if runstate == Runstate.blocked.name and not is_up:
                runstate = Runstate.offline.name  # it slept when it was put down; Xen says so until an event comes
            states.append(VcpuState(
                vcpuid, is_up, is_up or self._is_initialised(vcpuid), runstate, cpu_time=info["time[0]"],
            ))
        return tuple(states)

    def _is_initialised(self, vcpuid: int) -> Optional[bool]:
        is_initialised = self._port.is_initialised(vcpuid)
        return None if not is_initialised and needs_vcpu_info(self.release, vcpuid) else is_initialised

    def down_vcpus(self) -> Tuple[int, ...]:
        """The vcpus that are down, in order."""
        return tuple(vcpuid for vcpuid, is_up in self._scan() if not is_up)

    def record(self, vcpuid: int) -> Image:
        """Always refused: a guest cannot read registers of its vcpus.

        Raises:
            HostError: Always.
        """
        raise HostError(f"the registers of vcpu {vcpuid} can be read from dom0 only")

    def policy(self, given: Features = UNKNOWN) -> Features:
        """What is known of its own CPU policy: what is given. Linux shows a program the features that it uses itself,
        and not those that it leaves alone."""
        return given

    def plan(
        self, vcpuids: Sequence[int], render: Render, *, features: Features = UNKNOWN, allow: Allowances = NONE
    ) -> GuestPlan:
        """Plan a start; nothing is touched. See `xenvcpu.guestplan.make_guest_plan` for what it raises."""
        return make_guest_plan(self._port, vcpuids, render, self.release, features=features, allow=allow)

    def execute(self, plan: GuestPlan) -> StartReport:
        """Carry out a plan. All vcpus are initialised before the first one runs.

        A vcpu that is initialised cannot be made fresh from inside: all are asked first, so that none is spent on a
        start that another one stops.

        Raises:
            AlreadyInitialisedError: A vcpu was initialised before; nothing was touched.
            HypercallError: Xen refused; `left` says which vcpus are up, and which initialised, by now.
        """
        vcpuids = [vcpuid for vcpuid, _, _ in plan.contexts]
        for vcpuid in vcpuids:
            if self._port.is_initialised(vcpuid):
                raise failure(VcpuOp.VCPUOP_initialise.name, errno.EEXIST, vcpuid=vcpuid)
        tried: List[int] = []
        contexts = hashlib.sha256()
        for vcpuid, image, _ in plan.contexts:
            contexts.update(vcpuid.to_bytes(4, "little") + image.pack())
        left = partial(guestleft.of_start, self._port, tried)
        with self._change("start", vcpuids, StartError, left, digest=contexts.hexdigest()):
            # Up to 4.18 those without a registered vcpu_info are refused: they go first, when nothing is spent yet.
            for vcpuid, image, _ in sorted(plan.contexts, key=lambda each: each[0] < LEGACY_MAX_VCPUS):
                tried.append(vcpuid)
                self._port.initialise(vcpuid, image)
            for vcpuid in vcpuids:
                self._port.up(vcpuid)
        findings = tuple((vcpuid, finding) for vcpuid, _, verdict in plan.contexts for finding in verdict.findings)
        return StartReport(None, tuple(vcpuids), (), None, findings)

    def start(
        self, vcpuids: Sequence[int], render: Render, *, features: Features = UNKNOWN, allow: Allowances = NONE
    ) -> StartReport:
        """Plan and carry out; see both for what they raise."""
        return self.execute(self.plan(vcpuids, render, features=features, allow=allow))

    def up(self, vcpuids: Sequence[int]) -> Tuple[int, ...]:
        """Let vcpus that are initialised and down run, from where they stand (VCPUOP_up).

        Returns:
            The vcpus that were down and run now.

        Raises:
            HypercallError: One is not initialised: EINVAL.
        """
        wanted = sorted(set(vcpuids))
        down = tuple(vcpuid for vcpuid in wanted if not self._port.is_up(vcpuid))
        with self._change("up", down, ChangeError, partial(guestleft.of_up, self._port, down)):
            for vcpuid in down:
                self._port.up(vcpuid)
        return down

    def stop(self, vcpuids: Sequence[int], *, allow: Allowances = NONE) -> Tuple[int, ...]:
        """Make vcpus down (VCPUOP_down). They stay initialised: only dom0 or INIT makes them fresh.

        Returns:
            The vcpus that were up and are no more.

        Raises:
            LastVcpuError: The last one would go down, which powers the domain off; `Allowance.LAST` allows that.
            HypercallError: Xen refused; those that were taken run on, but for those in `left`.
        """
        wanted = set(vcpuids)
        up = {vcpuid for vcpuid, is_up in self._scan() if is_up}
        if up and not up - wanted and Allowance.LAST not in allow:
            raise LastVcpuError(
                f"the last vcpu that goes down powers the domain off; use {Allowance.LAST.option} for that"
            )
        taken = sorted(wanted & up)
        with self._change("stop", taken, StopError, partial(guestleft.of_stop, self._port, taken)):
            for vcpuid in sorted(wanted):
                self._port.down(vcpuid)
            self._wait_off_processor(taken)
        return tuple(taken)

    def _wait_off_processor(self, vcpuids: Sequence[int]) -> None:
        """VCPUOP_down does not wait: a vcpu may still run for a moment; then it is offline, or blocked."""
        deadline = time.monotonic() + _DOWN_TIMEOUT
        for vcpuid in vcpuids:
            while self._port.runstate(vcpuid)["state"] == Runstate.running and time.monotonic() < deadline:
                time.sleep(0.001)
