# SPDX-License-Identifier: MIT
"""What a change from inside the guest leaves when it fails, in words."""

from __future__ import annotations

from contextlib import suppress
from typing import Callable, Optional, Sequence, Tuple

from xenvcpu.errors import XenVcpuError
from xenvcpu.ports.guest import GuestPort

_ATTEMPTS = 3


def of_start(port: GuestPort, vcpuids: Sequence[int]) -> Tuple[str, ...]:
    """What a start that failed leaves, with what can still be done: nobody inside can make a vcpu fresh."""
    lines = []
    for vcpuid in sorted(vcpuids):
        is_up = _asked(port.is_up, vcpuid)
        if is_up:
            lines.append(f"vcpu {vcpuid} is up")
        elif is_up is None or _asked(port.is_initialised, vcpuid) is not False:
            may = "may be" if is_up is None else "is"
            lines.append(
                f"vcpu {vcpuid} {may} initialised and down: `xenvcpu up self {vcpuid}` lets it run,"
                " `xenvcpu stop` in dom0 makes it fresh"
            )
    return tuple(lines)


def of_up(port: GuestPort, vcpuids: Sequence[int]) -> Tuple[str, ...]:
    """Those that run by now: they are not stopped again, for they have run."""
    words = {True: "is", None: "may be"}
    found = ((vcpuid, _asked(port.is_up, vcpuid)) for vcpuid in vcpuids)
    return tuple(f"vcpu {vcpuid} {words[is_up]} up" for vcpuid, is_up in found if is_up in words)


def of_stop(port: GuestPort, vcpuids: Sequence[int]) -> Tuple[str, ...]:
    """Let those run on that were taken, for nothing of them is lost; those with which that fails."""
    left = list(vcpuids)
    for _ in range(_ATTEMPTS):
        for vcpuid in tuple(left):
            with suppress(XenVcpuError):
                port.up(vcpuid)
                left.remove(vcpuid)
    return tuple(f"vcpu {vcpuid} may be down: `xenvcpu up self {vcpuid}` lets it run on" for vcpuid in left)


def _asked(question: Callable[[int], bool], vcpuid: int) -> Optional[bool]:
    """What Xen answers of a vcpu; None when it does not."""
    try:
        return question(vcpuid)
    except XenVcpuError:
        return None
