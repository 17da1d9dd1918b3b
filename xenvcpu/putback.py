# SPDX-License-Identifier: MIT
"""Putting a domain back as it was captured, while it is paused.

The program that failed does it, or its guard, or `xenvcpu recover` on another day; it may be done any number of times.
"""

from __future__ import annotations

import time
from typing import Any, Optional, Sequence, Tuple

from xenvcpu.capture import Capture
from xenvcpu.errors import NoSuchDomainError, XenVcpuError
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.readback import differences
from xenvcpu.savedstate import SavedState

ATTEMPTS = 3
_BETWEEN = 0.01
"""Seconds between two attempts: a host that is short of memory may have some again."""

CRASHED = "the domain has crashed"


def put_back(port: Dom0Port, capture: Capture) -> Optional[Tuple[str, ...]]:
    """Load what was captured, and make every vcpu that came up meanwhile fresh again.

    Fresh is what such a vcpu was, unless it had been initialised and down: the state that it
    then had cannot be read from dom0, and is lost. Nothing is loaded where nothing has changed:
    a load has side effects.

    Returns:
        What is not as it was, one line each, and empty when all is; None when the domain is gone.
    """
    fresh: Optional[Sequence[int]] = None
    left: Tuple[str, ...] = ()
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(_BETWEEN)
        try:
            if _is_gone(port, capture):
                return None
            if fresh is None:
                fresh = _reached(port, capture)
            left = _attempt(port, capture, capture.fresh if fresh is None else fresh, is_known=fresh is not None)
        except XenVcpuError as error:
            left = (str(error),)
        if not left or left[0] == CRASHED:
            break
    return left


def _is_gone(port: Dom0Port, capture: Capture) -> bool:
    try:
        now = port.domain(capture.domid)
    except NoSuchDomainError:
        return True
    return now.handle != capture.handle or now.is_dying


def _reached(port: Dom0Port, capture: Capture) -> Optional[Sequence[int]]:
    """The vcpus that were not online and are by now; None if that cannot be read, and then all count.

    One that the change did not reach is left alone: it may have been initialised before.
    """
    try:
        online = _read(port, capture).cpu
    except XenVcpuError:
        return None
    return tuple(vcpuid for vcpuid in capture.fresh if vcpuid in online)


def _read(port: Dom0Port, capture: Capture) -> SavedState:
    buffer: Any = port.context_buffer(capture.domid)
    return SavedState.parse(port.read_context(capture.domid, buffer), capture.release)


def _left(port: Dom0Port, capture: Capture) -> Tuple[str, ...]:
    """What is not as it was."""
    if port.domain(capture.domid).is_shutdown:
        return (CRASHED,)
    found, now = capture.state, _read(port, capture)
    pats = (
        f"vcpu {vcpuid}: its PAT is no more {pat:#x}"
        for vcpuid, pat in found.own_pats.items()
        if vcpuid not in found.kept_pats and now.own_pats.get(vcpuid) != pat
    )
    return (*differences(found, (), now), *pats)


def _attempt(port: Dom0Port, capture: Capture, fresh: Sequence[int], *, is_known: bool) -> Tuple[str, ...]:
    if is_known and not fresh:
        left = _left(port, capture)
        if not left or left[0] == CRASHED:
            return left
    port.load_context(capture.domid, capture.state.restoring_stream())
    for vcpuid in fresh:
        port.reset_vcpu(capture.domid, vcpuid)
    return _left(port, capture)
