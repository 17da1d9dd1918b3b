# SPDX-License-Identifier: MIT
"""Carrying out a plan: the start happens whole, or everything is put back as it was found."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Tuple

from xenvcpu.abi.save_stream import Typecode
from xenvcpu.errors import DomainChangedError, HypercallError, StartError, XenVcpuError
from xenvcpu.plan import Plan
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.readback import differences
from xenvcpu.savedstate import SavedState


@dataclass(frozen=True)
class StartReport:
    """What a start did.

    Attributes:
        domid: The domain.
        vcpuids: The vcpus that run now.
        kept: The vcpus that were online before, and are.
        pause_seconds: How long the domain was paused; None in the guest, which needs no pause.
    """

    domid: int
    vcpuids: Tuple[int, ...]
    kept: Tuple[int, ...]
    pause_seconds: Optional[float]

    def as_dict(self) -> dict[str, Any]:
        """The report as `--json` prints it."""
        return {
            "domid": self.domid, "started": list(self.vcpuids), "kept": list(self.kept),
            "pause_seconds": self.pause_seconds,
        }


@contextmanager
def paused(port: Dom0Port, domid: int) -> Iterator[None]:
    """Hold one pause on a domain; it is given back however the block ends."""
    port.pause(domid)
    try:
        yield
    finally:
        port.unpause(domid)


def execute(port: Dom0Port, plan: Plan) -> StartReport:
    """Carry out a plan: pause, read, merge, load, read back, unpause; ten calls, however many vcpus.

    Raises:
        DomainChangedError: The domain is not what it was when it was planned; nothing was touched.
        HypercallError: Xen refused; `restored` tells whether the domain is as it was found.
        StartError: Xen took the load, but holds something else; the domain was put back.
    """
    domid = plan.domain.domid
    buffer = port.context_buffer(domid)
    port.console()
    began = time.monotonic()
    try:
        with paused(port, domid):
            began = time.monotonic()
            if port.domain(domid).handle != plan.domain.handle:
                raise DomainChangedError(f"domain {domid} is another domain by now", domid=domid)
            found = SavedState.parse(port.read_context(domid, buffer))
            stream = plan.stream(found)
            _load_or_put_back(port, plan, found, stream, buffer)
    except HypercallError as error:
        error.console = tuple(port.console().splitlines())
        raise
    seconds = time.monotonic() - began
    return StartReport(domid, tuple(vcpu.vcpuid for vcpu in plan.vcpus), found.online, seconds)


def _load_or_put_back(port: Dom0Port, plan: Plan, found: SavedState, stream: bytes, buffer: Any) -> None:
    domid = plan.domain.domid
    try:
        port.load_context(domid, stream)
        after = SavedState.parse(port.read_context(domid, buffer))
        new = [record for vcpu in plan.vcpus for record in vcpu.records(found.tsc) if record.typecode == Typecode.CPU]
        wrong = differences(found, new, after)
        if wrong:
            raise StartError(
                f"domain {domid} was put back: Xen took the load but holds something else: {wrong[0]}", domid=domid,
                differences=wrong,
            )
    except BaseException as error:
        restored = _put_back(port, plan, found, buffer)
        if isinstance(error, (HypercallError, StartError)):
            error.restored = restored
        raise


def _put_back(port: Dom0Port, plan: Plan, found: SavedState, buffer: Any) -> bool:
    """Load what was found, and make every vcpu that came up meanwhile fresh again; whether that worked.

    A vcpu that the failed load did not reach is left alone: it may have been initialised before.
    """
    domid = plan.domain.domid
    try:
        reached = SavedState.parse(port.read_context(domid, buffer)).cpu
        port.load_context(domid, found.restoring_stream())
        for vcpu in plan.vcpus:
            if vcpu.vcpuid in reached:
                port.reset_vcpu(domid, vcpu.vcpuid)
    except XenVcpuError:
        return False
    return True
