# SPDX-License-Identifier: MIT
"""Carrying out a plan: the start happens whole, or everything is put back as it was found."""

from __future__ import annotations

import errno
import signal
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Iterator, List, Optional, Tuple

from xenvcpu.abi.save_stream import Typecode
from xenvcpu.errors import DomainChangedError, DomainError, HypercallError, StartError, XenVcpuError
from xenvcpu.plan import Plan
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.readback import differences
from xenvcpu.rules.verdict import Finding
from xenvcpu.savedstate import SavedState


_WAITING = frozenset((
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGALRM,
))
"""Signals that end or stop a process; they wait for the end of a pause."""


@dataclass(frozen=True)
class StartReport:
    """What a start did.

    Attributes:
        domid: The domain; None for the caller's own.
        vcpuids: The vcpus that run now.
        kept: The vcpus that were online before, and are.
        pause_seconds: How long the domain was held paused; None in the guest, which needs no pause.
        findings: What the rules found all the same, as (vcpuid, finding): warnings, and what `force` overrode.
    """

    domid: Optional[int]
    vcpuids: Tuple[int, ...]
    kept: Tuple[int, ...]
    pause_seconds: Optional[float]
    findings: Tuple[Tuple[int, Finding], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {
            "domid": self.domid, "started": list(self.vcpuids), "kept": list(self.kept),
            "pause_seconds": self.pause_seconds,
            "findings": [{"vcpuid": vcpuid, **finding.as_dict()} for vcpuid, finding in self.findings],
        }


@contextmanager
def paused(port: Dom0Port, domid: int) -> Iterator[None]:
    """Hold one pause on a domain; it is given back however the block ends.

    A signal in between would leave the domain paused, or half of its vcpus down: it is
    delivered to this thread when the pause is over. Only SIGKILL and SIGSTOP cannot wait.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAITING)
        port.pause(domid)
        try:
            yield
        except BaseException:
            with suppress(XenVcpuError):  # what went wrong before says more
                port.unpause(domid)
            raise
        _unpause(port, domid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _unpause(port: Dom0Port, domid: int) -> None:
    try:
        port.unpause(domid)
    except HypercallError as error:
        if error.errno != errno.EINVAL:
            raise
        raise DomainChangedError(
            f"domain {domid} was unpaused by somebody else meanwhile: its vcpus may have run on between the read and"
            " the load, and have been set back", domid=domid,
        ) from error


def execute(port: Dom0Port, plan: Plan) -> StartReport:
    """Carry out a plan: pause, read, merge, load, read back, unpause; ten calls, however many vcpus.

    Raises:
        DomainChangedError: The domain is not what it was when it was planned; nothing was touched.
        DomainError: The domain has shut down or crashed; nothing was touched.
        HypercallError: Xen refused; `restored` tells whether the domain is as it was found.
        StartError: Xen took the load, but holds something else, or the domain died of it; `restored` tells the rest.
    """
    domid = plan.domain.domid
    buffer = port.context_buffer(domid)
    port.console()
    try:
        with paused(port, domid):
            began = time.monotonic()
            now = port.domain(domid)
            if now.handle != plan.domain.handle:
                raise DomainChangedError(f"domain {domid} is another domain by now", domid=domid)
            if now.is_shutdown or now.is_dying:
                raise DomainError(f"domain {domid} has shut down or crashed: its vcpus run no more", domid=domid)
            found = SavedState.parse(port.read_context(domid, buffer), port.release)
            stream = plan.stream(found)
            _load_or_put_back(port, plan, found, stream, buffer)
            # Up to here: when the unpause returns, the vcpus may have had this processor for a while.
            seconds = time.monotonic() - began
        _require_alive(port, domid)
    except (HypercallError, StartError) as error:
        error.console = _console_lines(port)
        raise
    findings = tuple((vcpu.vcpuid, finding) for vcpu in plan.vcpus for finding in vcpu.verdict.findings)
    return StartReport(domid, tuple(vcpu.vcpuid for vcpu in plan.vcpus), found.online, seconds, findings)


def _console_lines(port: Dom0Port) -> Tuple[str, ...]:
    """What Xen printed meanwhile; that it cannot be read must not hide the error that it explains."""
    try:
        return tuple(port.console().splitlines())
    except XenVcpuError:
        return ()


def _death(port: Dom0Port, domid: int) -> List[str]:
    """Whether the domain died of the load: Xen answers 0 all the same when it cannot read the PDPTEs (trap 7)."""
    return ["the domain has crashed"] if port.domain(domid).is_shutdown else []


def _require_alive(port: Dom0Port, domid: int) -> None:
    """A state that the processor refuses to enter shows only when its vcpu runs."""
    died: List[str] = []
    with suppress(XenVcpuError):  # a look that fails undoes no start
        died = _death(port, domid)
    if died:
        raise StartError(
            f"{died[0]}: the processor did not take the new state of a vcpu of domain {domid}", domid=domid,
            differences=died, restored=False,
        )


def _load_or_put_back(port: Dom0Port, plan: Plan, found: SavedState, stream: bytes, buffer: Any) -> None:
    domid = plan.domain.domid
    try:
        port.load_context(domid, stream)
        after = SavedState.parse(port.read_context(domid, buffer), port.release)
        new = [record for vcpu in plan.vcpus for record in vcpu.records(found.tsc) if record.typecode == Typecode.CPU]
        wrong = _death(port, domid) + differences(found, new, after)
        if wrong:
            raise StartError(
                f"Xen took the load of domain {domid}, but all is not as asked: {wrong[0]}", domid=domid,
                differences=wrong,
            )
    except BaseException as error:
        restored = _put_back(port, plan, found, buffer)
        if isinstance(error, (HypercallError, StartError)):
            error.restored = restored
        raise


def _put_back(port: Dom0Port, plan: Plan, found: SavedState, buffer: Any) -> bool:
    """Load what was found, and make every vcpu that came up meanwhile fresh again; whether that worked.

    Fresh is what such a vcpu was, unless it had been initialised and down: the state that it
    then had cannot be read from dom0, and is lost.

    A vcpu that the failed load did not reach is left alone: it may have been initialised before.
    Which those are cannot be known when the read fails; the vcpus that ran come back even so.
    """
    domid = plan.domain.domid
    reached = {vcpu.vcpuid for vcpu in plan.vcpus}
    try:
        reached &= SavedState.parse(port.read_context(domid, buffer)).cpu.keys()
    except XenVcpuError:
        pass
    try:
        port.load_context(domid, found.restoring_stream())
        for vcpuid in sorted(reached):
            port.reset_vcpu(domid, vcpuid)
        return not _death(port, domid) and not found.pats_at_risk
    except XenVcpuError:
        return False
