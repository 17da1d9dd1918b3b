# SPDX-License-Identifier: MIT
"""Whether a domain, as it is found under the pause, may be changed."""

from __future__ import annotations

from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.change import Change
from xenvcpu.errors import DomainChangedError, DomainError, DomainNotBuiltError
from xenvcpu.savedstate import SavedState


def require_alive(now: DomainInfo, change: Change) -> None:
    """It is the domain that was looked up, it lives, and we hold it.

    Raises:
        DomainChangedError: Another domain has its domid by now, or somebody gave our pause back.
        DomainError: Its software has stopped.
    """
    domid = now.domid
    if now.handle != change.domain.handle:
        raise DomainChangedError(f"domain {domid} is another domain by now; nothing was touched", domid=domid)
    if now.is_shutdown or now.is_dying:
        raise DomainError(f"domain {domid} has shut down or crashed: its vcpus run no more", domid=domid)
    if not now.is_paused:
        raise DomainChangedError(f"somebody else unpauses domain {domid}; nothing was touched", domid=domid)


def require_built(now: DomainInfo, found: SavedState, change: Change) -> None:
    """Its toolstack has given it a boot vcpu.

    Before, a load of ours may come right after the toolstack's own, and would take down the boot vcpu that it brought:
    that vcpu is not among those which were found. A domain that has run is another matter: all its vcpus may be down.

    Raises:
        DomainNotBuiltError: No vcpu is online, and none has ever run. `force` allows it.
    """
    if not found.cpu and not now.cpu_time and not change.force:
        raise DomainNotBuiltError(
            f"domain {now.domid} is still being built: it has no boot vcpu yet; nothing was touched; try again when its"
            " toolstack is done, or use --force if no toolstack builds it", domid=now.domid,
        )
