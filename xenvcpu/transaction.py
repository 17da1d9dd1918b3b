# SPDX-License-Identifier: MIT
"""A change of a domain as a whole: it happens, or everything is put back as it was found."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any, Iterable, List, Optional, Tuple

from xenvcpu import vcpuset
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.audit import name_of, outcome_of
from xenvcpu.calls import Calls
from xenvcpu.capture import Capture
from xenvcpu.change import Change, Outcome
from xenvcpu.deadline import Deadline
from xenvcpu.devicerequests import DeviceRequests
from xenvcpu.errors import DomainError, HypercallError, XenVcpuError
from xenvcpu.fitness import require_alive, require_built, require_not_nested
from xenvcpu.guesttime import Timed
from xenvcpu.heldpause import held_pause
from xenvcpu.keeper import Keeper
from xenvcpu.left import CRASHED, SHUT_DOWN, Left
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.putback import is_being_destroyed, narrowed, put_back
from xenvcpu.readback import differences
from xenvcpu.savedstate import TSC_SIZE, SavedState, with_tsc

_CONSOLE_LINES, _CONSOLE_WIDTH = 100, 1000
"""The most that is told of what Xen printed: guests print there too."""


def carry_out(port: Dom0Port, keeper: Keeper, change: Change) -> Outcome:
    """Lock, pause, look, read, touch, read back, unpause; or put everything back.

    Raises:
        DeviceAccessError: Nothing was touched; see `xenvcpu.devicerequests`.
        DomainBusyError, DeadlineError, DomainChangedError, DomainNotBuiltError, DomainError: Nothing was touched.
        HypercallError: Xen refused; `restored` tells whether the domain is as it was found.
        ChangeError: Xen took it, but holds something else, or the domain died of it; `restored` tells the rest.
        KeyboardInterrupt: It came under the pause and had to wait; its text says so when all was done nevertheless.
    """
    with keeper.hold(change.domain) as deadline:
        transaction = _Transaction(port, keeper, change, deadline)
        try:
            outcome = transaction.run()
        except BaseException as error:
            if transaction.is_done_before(error):
                transaction.audit("done")
                raise KeyboardInterrupt(
                    f"the {change.verb} of {vcpuset.named(change.vcpuids)} of domain {change.domain.domid} was done"
                    " before"
                ) from error
            if transaction.touched is not None:
                transaction.explain(error)
            raise
        transaction.audit("done")
    return outcome


class _Transaction:
    """One change under way.

    Attributes:
        touched: What was asked of Xen; None while nothing was.
    """

    def __init__(self, port: Dom0Port, keeper: Keeper, change: Change, deadline: Deadline) -> None:
        self._port, self._keeper, self._change, self._deadline = port, keeper, change, deadline
        self._domid = change.domain.domid
        self._buffer: Any = None
        self._reset: List[int] = []
        self._unkept: Optional[Tuple[Capture, Left]] = None
        self._is_settled = False
        self.touched: Optional[Calls] = None

    def run(self) -> Outcome:
        """The whole change."""
        self._buffer = self._port.context_buffer(self._domid)
        with suppress(XenVcpuError):  # without it an error explains less
            self._port.console()
        requests = DeviceRequests(self._port, self._change, self._deadline)
        done = None
        while done is None:
            with requests.shown():
                done = self._tried(requests)
            if done is None:
                requests.wait()
        return replace(done, is_paused=self._is_alive_and_paused())

    def _tried(self, requests: DeviceRequests) -> Optional[Outcome]:
        """The change under one pause; None where a vcpu must run on first, and nothing was done."""
        with held_pause(self._keeper, self._domid, self._deadline) as notes:
            began = time.monotonic()
            now = self._port.domain(self._domid)
            require_alive(now, self._change)
            if not requests.are_none(now):
                return None
            capture = self._capture(now)
            notes += requests.caught
            calls = self._waking(self._change.calls(capture.state))
            self._deadline.check("reading it", self._domid)
            self._touch(capture, calls)
            self._is_settled = True
            # Up to here: when the unpause returns, the vcpus may have had this processor for a while.
            seconds = time.monotonic() - began
        for note in notes:
            self._keeper.patience.tell(note)
        return Outcome(capture.state, seconds, notes=tuple(notes))

    def _capture(self, now: DomainInfo) -> Capture:
        change, domid = self._change, self._domid
        try:
            stream, taken = self._port.read_context(domid, self._buffer), self._port.now()
        except HypercallError as error:
            if now.is_hvm and is_being_destroyed(error):
                raise DomainError(f"domain {domid} is being destroyed: its vcpus run no more", domid=domid) from error
            raise
        capture = Capture(
            domid, now.handle, self._port.release, change.verb, change.vcpuids, stream, vendor=self._port.vendor,
            taken=taken, cpu_time=now.cpu_time,
        )
        require_built(now, capture.state, change)
        require_not_nested(capture.state, change)
        return capture

    def _waking(self, calls: Calls) -> Calls:
        """The calls, with a reset of each new vcpu that was put down while it slept in HLT.

        A load, like VCPUOP_up, only clears _VPF_down, and vcpu_wake skips what has _VPF_blocked: without an event such
        a vcpu would be online and never run. A reset clears that flag.
        """
        down = (record.instance for record in calls.new)
        return replace(calls, woken=tuple(n for n in down if self._port.vcpu(self._domid, n)["blocked"]))

    def _make_fresh(self, vcpuids: Iterable[int]) -> None:
        for vcpuid in vcpuids:
            self._reset.append(vcpuid)
            self._port.reset_vcpu(self._domid, vcpuid)

    def _touch(self, capture: Capture, calls: Calls) -> None:
        if calls.is_empty:
            return
        self._keeper.touching(capture)
        self.touched = calls
        try:
            self._make_fresh(calls.woken)
            self._load(capture, calls)
            self._make_fresh(calls.resets)
            self._verify(capture, calls)
        except BaseException as error:
            self._put_back(capture, error)
            raise
        self._keeper.settled()

    def _load(self, capture: Capture, calls: Calls) -> None:
        if calls.stream is not None:
            timed = Timed(calls.stream)
            self._port.load_context(self._domid, timed.after(self._port.now() - (capture.taken or 0)))

    def _verify(self, capture: Capture, calls: Calls) -> None:
        after = SavedState.parse(self._port.read_context(self._domid, self._buffer), self._port.release)
        wrong = self._death() + differences(capture.state, calls.new, after, gone=calls.resets)
        if wrong:
            raise self._change.failed(
                f"Xen took the {self._change.verb} of domain {self._domid}, but all is not as asked: {wrong[0]}",
                domid=self._domid, differences=wrong,
            )

    def _death(self) -> List[str]:
        """Whether the domain died of it: Xen answers 0 all the same when it cannot read the PDPTEs."""
        return [CRASHED] if self._port.domain(self._domid).has_crashed else []

    def _put_back(self, capture: Capture, error: BaseException) -> None:
        """Put everything back, and say with the error how that went.

        What interrupts this leaves the capture with the guard, which puts it back before it unpauses.
        """
        capture = narrowed(self._port, capture)
        self._keeper.touching(capture)
        left = put_back(self._port, capture)
        if left is not None and left.is_recoverable:
            left = self._keeper.put_back(left)
        self._keeper.settled()
        if left is None:
            return
        lines = (*left.lines, *self._lost(capture))
        if not isinstance(error, XenVcpuError):
            if not lines:
                return
            error = self._change.failed(
                f"the {self._change.verb} of domain {self._domid} was interrupted ({type(error).__name__})",
                domid=self._domid,
            )
        error.restored, error.left = not lines, lines
        if left.is_recoverable:
            self._unkept = capture, left
        if lines:
            raise error

    def _lost(self, capture: Capture) -> Tuple[str, ...]:
        """The vcpus that were made fresh, and had registers that cannot be captured."""
        lines = []
        for vcpuid in self._reset:
            if vcpuid in capture.state.cpu:
                continue
            is_fresh = "is fresh now"
            try:
                if self._port.is_initialised(self._domid, vcpuid):
                    continue
            except XenVcpuError:
                is_fresh = "may be fresh now"
            lines.append(f"vcpu {vcpuid} had been initialised and down, and {is_fresh}")
        return tuple(lines)

    def _is_alive_and_paused(self) -> bool:
        """Whether somebody else holds the domain paused; else a state that the processor refuses shows by now.

        A triple fault is no crash for Xen: the domain is to reboot.
        """
        try:
            now = self._port.domain(self._domid)
        except XenVcpuError:  # a look that fails undoes nothing
            return False
        if now.is_shutdown:
            why = CRASHED if now.has_crashed else SHUT_DOWN
            raise self._change.failed(
                f"{why}: the processor did not take the new state of a vcpu of domain {self._domid}, or what it runs"
                " there ended the domain", domid=self._domid, differences=[why], restored=False,
            )
        return now.is_paused

    def is_done_before(self, error: BaseException) -> bool:
        """Whether an error is only a signal that had waited until all was done, and the domain ran again."""
        is_signal = isinstance(error, KeyboardInterrupt) and not isinstance(error.__context__, XenVcpuError)
        return is_signal and self._is_settled and self.touched is not None

    def explain(self, error: BaseException) -> None:
        """When the domain runs again: keep what was lost in a file, add what Xen printed, and log it all."""
        if isinstance(error, XenVcpuError):
            if self._unkept is not None:
                error.kept, why_not = self._keeper.keep(*self._unkept)
                error.left = (*error.left, *why_not)
            with suppress(XenVcpuError):  # that it cannot be read must not hide the error that it explains
                lines = self._port.console().splitlines()[-_CONSOLE_LINES:]
                error.console = tuple(line[:_CONSOLE_WIDTH] for line in lines)
        self.audit("failed", error)

    def audit(self, outcome: str, error: Optional[BaseException] = None) -> None:
        """Log what was done."""
        touched, change = self.touched, self._change
        if touched is None:
            return
        contexts = hashlib.sha256()
        for record in touched.new:
            contexts.update(record.instance.to_bytes(4, "little") + with_tsc(record.payload, bytes(TSC_SIZE)))
        said = outcome_of(
            outcome, getattr(error, "restored", None), getattr(error, "left", ()), getattr(error, "kept", None),
            digest=contexts.hexdigest() if touched.new else "", error="" if error is None else str(error),
        )
        self._keeper.audit(change.verb, name_of(self._domid, change.domain.handle), touched.vcpuids, said)
