# SPDX-License-Identifier: MIT
"""Putting a domain back as it was captured, while it is paused.

The program that failed does it, or its guard; it may be done any number of times.
"""

from __future__ import annotations

import errno
import time
from dataclasses import replace
from typing import Any, Optional, Set

from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.capture import Capture
from xenvcpu.errors import HypercallError, NoSuchDomainError, XenVcpuError
from xenvcpu.guesttime import Timed
from xenvcpu.left import Left
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.readback import online_differences, state_differences
from xenvcpu.savedstate import SavedState

ATTEMPTS = 3
_BETWEEN = 0.01
"""Seconds between two attempts: a host that is short of memory may have some again."""


def is_being_destroyed(error: BaseException) -> bool:
    """Whether an error is what Xen answers to a read of an HVM domain under destruction.

    XEN_DOMINF_dying is set only at the end of that (getdomaininfo, 4.7 to 4.22), but hvm_save refuses all along.
    """
    return isinstance(error, HypercallError) and (error.op, error.errno) == ("xc_domain_hvm_getcontext", errno.EINVAL)


def narrowed(port: Dom0Port, capture: Capture) -> Capture:
    """A capture that says which vcpus the change has reached: those that were fresh and are online by now.

    The others are left alone: they may have been initialised before. Where that cannot be read, all count.
    """
    if capture.reached is not None:
        return capture
    try:
        online = _read(port, capture).cpu
    except XenVcpuError:
        return capture
    return replace(capture, reached=tuple(vcpuid for vcpuid in capture.fresh if vcpuid in online))


def put_back(port: Dom0Port, capture: Capture) -> Optional[Left]:
    """Load what was captured, and make every vcpu that came up meanwhile fresh again.

    Fresh is what such a vcpu was, unless it had been initialised and down: the state that it
    then had cannot be read from dom0, and is lost. Nothing is loaded where nothing has changed,
    since a load has side effects; and nothing over vcpus that may have run meanwhile.

    Returns:
        What is not as it was; None when the domain is gone, or being destroyed.
    """
    attempt = _PutBack(port, capture)
    for number in range(ATTEMPTS):
        if number:
            time.sleep(_BETWEEN)
        try:
            left = attempt.run()
        except XenVcpuError as error:
            attempt.error = error
        else:
            return left
    assert attempt.error is not None
    return None if is_being_destroyed(attempt.error) else attempt.guess()


def _read(port: Dom0Port, capture: Capture) -> SavedState:
    buffer: Any = port.context_buffer(capture.domid)
    return SavedState.parse(port.read_context(capture.domid, buffer), capture.release, capture.vendor)


class _PutBack:
    """One put-back, over its attempts.

    Attributes:
        error: What stopped the last attempt.
    """

    def __init__(self, port: Dom0Port, capture: Capture) -> None:
        self._port = port
        self._capture = narrowed(port, capture)
        reached = self._capture.reached
        self._fresh: Set[int] = set(self._capture.fresh if reached is None else reached)
        self.error: Optional[XenVcpuError] = None

    def run(self) -> Optional[Left]:
        """One attempt.

        Raises:
            XenVcpuError: It failed.
        """
        port, domid = self._port, self._capture.domid
        try:
            now = port.domain(domid)
        except NoSuchDomainError:
            return None
        if now.handle != self._capture.handle or now.is_dying:
            return None
        if now.has_crashed:
            return Left(is_crashed=True)
        left = self._look()
        if not now.is_paused or self._have_run(now):
            said = f"domain {domid} was unpaused by somebody else: its vcpus have run, and were not set back"
            return replace(left, other=(*left.other, said))
        if left or self._fresh:
            self._restore()
            for vcpuid in sorted(self._fresh):
                port.reset_vcpu(domid, vcpuid)
                self._fresh.discard(vcpuid)
            left = Left(is_crashed=True) if port.domain(domid).has_crashed else self._look()
        return left

    def _restore(self) -> None:
        timed, taken = Timed(self._capture.state.restoring_stream()), self._capture.taken
        self._port.load_context(self._capture.domid, timed.after(0 if taken is None else self._port.now() - taken))

    def _have_run(self, now: DomainInfo) -> bool:
        """Whether vcpus have run since the capture, although the domain is paused now.

        One that went to sleep meanwhile would sleep on with its registers set back, and wait for an event that it had.
        """
        return self._capture.cpu_time not in (None, now.cpu_time)

    def _look(self) -> Left:
        """What is not as it was."""
        found, now = self._capture.state, _read(self._port, self._capture)
        down, surplus = online_differences(found, (), now)
        other = tuple(state_differences(found, (), now, gone=down))
        return Left(down, tuple(sorted({*surplus, *self._fresh})), other)

    def guess(self) -> Left:
        """What may not be as it was, when the last attempt failed; as it is, if that can be seen all the same."""
        said = (str(self.error),)
        try:
            left = self._look()
        except XenVcpuError:
            return Left(self._capture.state.online, tuple(sorted(self._fresh)), said, is_known=False)
        return replace(left, other=(*left.other, *said)) if left else left
