# SPDX-License-Identifier: MIT
"""From the errno of a failed call to the error that says what it means here."""

from __future__ import annotations

import errno
from typing import Mapping, Optional, Tuple, Type

from xenvcpu.errors import (
    AlreadyInitialisedError, HostError, HypercallError, InterfaceMismatchError, NoSuchDomainError, NoSuchVcpuError,
    RestrictedError, XenVcpuError,
)

_NO_PRIVILEGE = "only a control domain (dom0) may do this, as root"
_GUEST_RESTRICTED = (
    "the kernel refuses hypercalls from user space: since 2026 (XSA-482) privcmd in a guest is restricted; load the"
    " module with unrestricted=1 (modprobe xen-privcmd unrestricted=1, or xen_privcmd.unrestricted=1 on the kernel"
    " command line; lockdown overrides it)"
)
_INITIALISED = (
    "the vcpu is initialised already: an operating system or hvmloader has used it; only INIT from the local APIC, or"
    " `xenvcpu stop` in dom0, makes it fresh again, and `xenvcpu up self` lets one that is down run on"
)

_HINTS: Mapping[Tuple[str, int], str] = {
    ("xc_domain_hvm_setcontext", errno.EPERM): "before 4.16 Xen answers EPERM to any bad save stream",
    ("xc_domain_pause", errno.EOVERFLOW): "255 pauses are held already; some tool does not unpause",
    ("xc_domain_hvm_getcontext", errno.EINVAL): "not an HVM or PVH domain, or the caller's own",
    ("VCPUOP_initialise", errno.EEXIST): _INITIALISED,
    ("VCPUOP_initialise", errno.EINVAL): "Xen refused the context; its console (xl dmesg in dom0) has the reason",
    ("VCPUOP_up", errno.EINVAL): "the vcpu is not initialised",
}
_VCPU_INFO = "xc_vcpu_getinfo"
_UNMADE_VCPU = ", or its vcpu {} is not made yet: Xen up to 4.21 says the same of both"
"""XEN_DOMCTL_getvcpuinfo answers ESRCH for a vcpu that a domain under construction does not have yet; later ENOENT."""
_CLASSES: Mapping[int, Type[HypercallError]] = {
    errno.EEXIST: AlreadyInitialisedError, errno.EACCES: InterfaceMismatchError,
}
_BAD_STREAM_AS_EPERM = frozenset({"xc_domain_hvm_setcontext"})


def failure(
    op: str, number: int, *, domid: Optional[int] = None, vcpuid: Optional[int] = None, log: str = ""
) -> XenVcpuError:
    """The error for a call that failed with an errno.

    Args:
        op: The C function, or the VCPUOP.
        number: The errno, read at once after the call.
        domid: The domain it was about.
        vcpuid: The vcpu it was about.
        log: What the library logged meanwhile.
    """
    is_guest = op.startswith("VCPUOP_") or op == "xen_version"
    if number in (errno.EPERM, errno.EACCES) and is_guest:
        return RestrictedError(number, f"{op}: {_GUEST_RESTRICTED}")
    if number == errno.EPERM and op not in _BAD_STREAM_AS_EPERM:
        return RestrictedError(number, f"{op}: {_NO_PRIVILEGE}")
    if number == errno.ESRCH:
        or_vcpu = _UNMADE_VCPU.format(vcpuid) if op == _VCPU_INFO else ""
        return NoSuchDomainError(f"there is no domain {domid}{or_vcpu}", domid=domid, vcpuid=vcpuid)
    if number == errno.ENOENT and op == _VCPU_INFO:
        return NoSuchVcpuError(f"domain {domid} has no vcpu {vcpuid}", domid=domid, vcpuid=vcpuid)
    if number == errno.ENOENT and is_guest:
        return NoSuchVcpuError(f"this domain has no vcpu {vcpuid}", vcpuid=vcpuid)
    hint = _HINTS.get((op, number), "")
    if number == errno.EACCES:
        hint = "the library was built for another release than the running Xen"
    return _CLASSES.get(number, HypercallError)(op, number, domid=domid, vcpuid=vcpuid, log=log, hint=hint)


def cannot_open(op: str, number: int, log: str = "") -> HostError:
    """The error for a library handle that cannot be opened."""
    if number in (errno.EACCES, errno.EPERM):
        return RestrictedError(number, f"{op}: no permission for /dev/xen/privcmd; run as root")
    if number == errno.ENOENT:
        return HostError(
            f"{op}: /dev/xen/privcmd does not exist; this machine is not under Xen, or the xen-privcmd module is not"
            " loaded (modprobe xen-privcmd); `--host model:pvh` works anywhere"
        )
    return HostError("; ".join(part for part in (f"{op}: {errno.errorcode.get(number, number)}", log) if part))
