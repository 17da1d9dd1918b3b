# SPDX-License-Identifier: MIT
"""Whether a domain, as it is found under the pause, may be changed."""

from __future__ import annotations

from xenvcpu.abi import cpu_record
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.abi.registers import CR4_VMXE, EFER_SVME
from xenvcpu.allowances import Allowance
from xenvcpu.change import Change
from xenvcpu.errors import DomainChangedError, DomainError, DomainNotBuiltError, NestedHvmError
from xenvcpu.savedstate import SavedState

_NESTING = (("msr_efer", EFER_SVME, "EFER.SVME"), ("cr4", CR4_VMXE, "CR4.VMXE"))
"""What a guest sets before it runs one of its own, on SVM and on VT-x."""


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
        DomainNotBuiltError: No vcpu is online, and none has ever run; and that is not allowed.
    """
    if not found.cpu and not now.cpu_time and Allowance.UNBUILT not in change.allow:
        raise DomainNotBuiltError(
            f"domain {now.domid} is still being built: it has no boot vcpu yet; nothing was touched; try again when its"
            f" toolstack is done, or use {Allowance.UNBUILT.option} if no toolstack builds it", domid=now.domid,
        )


def require_not_nested(found: SavedState, change: Change) -> None:
    """No vcpu that is online can be running a guest of its own.

    While one does, a load writes where the processor has the state of that guest, with the host's own page tables in
    it (svm_vmcb_restore). Which vcpus do is not to be seen; that one may is: EFER.SVME, or CR4.VMXE. A stop loads too,
    to put back what failed.

    Raises:
        NestedHvmError: One can, and that is not ignored.
    """
    if change.allow.ignores(NestedHvmError.rule):
        return
    for vcpuid in found.online:
        for field, bit, name in _NESTING:
            place = cpu_record.LAYOUT.fields[field].offset
            value = int.from_bytes(found.cpu[vcpuid].payload[place : place + 8], "little")
            if value & bit:
                raise NestedHvmError(change.domain.domid, vcpuid, name)
