# SPDX-License-Identifier: MIT
"""Starting the declared vcpus of a domain that has just begun: what the hook and the watcher do."""

from __future__ import annotations

from typing import Optional
from uuid import UUID

from xenvcpu import vcpuset
from xenvcpu.errors import HostError
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.host import Host
from xenvcpu.toolstacks.applying import Change, carry_out, foresee
from xenvcpu.toolstacks.declaration import Declaration

HOOK_PATIENCE = 45.0
"""Seconds: a hook has one try, and on a busy host its guard alone may take ten of them to start."""

WATCH_PATIENCE = 20.0
"""Seconds: the watcher tries again, and a client that answers for thirty seconds nothing is cut off by libvirt."""


def begin(host: Host, handle: UUID, declared: Declaration) -> Optional[Change]:
    """Start the declared vcpus of a domain, unless one of them runs, or is down but initialised.

    That is a domain that goes on from a saved state, or for which this was done already: its software may have
    taken a vcpu down itself, and must not find it running from the beginning.

    What a hook cannot see: libvirt runs it for a restored domain too, and Xen's save stream has nothing of a vcpu that
    is down, so that one whose declared vcpus were all down when it was saved looks as if it had just begun. The watcher
    is told by libvirt which domains booted and which were restored, but not of those that it finds running.

    Returns:
        What was done; None if it was left alone.

    Raises:
        XenVcpuError: It cannot be done.
    """
    domain = host.domain(str(handle))
    if isinstance(domain, GuestDomain):
        raise HostError("the vcpus of other domains are started from dom0")
    change = foresee(domain, declared)
    return None if change.has_begun else carry_out(domain, declared, change)


def sentence(change: Optional[Change]) -> str:
    """What was done, in words."""
    if change is None:
        return "left alone: a declared vcpu runs, or did"
    offline = "".join(f"; {text}" for text in change.notes)
    if not change.start:
        return f"nothing to start{offline}"
    pause = change.report.pause_seconds if change.report is not None else None
    held = "" if pause is None else f", paused for {pause * 1000:.1f} ms"
    return f"started vcpus {vcpuset.show(change.start)}{held}{offline}"
