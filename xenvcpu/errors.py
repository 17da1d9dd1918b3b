# SPDX-License-Identifier: MIT
"""Every error that xenvcpu raises, all under `XenVcpuError`.

Each kind also inherits from the builtin that people catch for it, and carries what
it is about (operation, domid, vcpuid, field, value) as attributes.
"""

from __future__ import annotations

import errno as _errno
import os
from typing import TYPE_CHECKING, Optional, Sequence

if TYPE_CHECKING:
    from xenvcpu.rules.verdict import Verdict


class XenVcpuError(Exception):
    """The base of all errors of xenvcpu.

    What a change that failed left behind is told by these, whatever the error; without a change they are empty.

    Attributes:
        restored: Whether the domain was put back as found; None where nothing had been touched.
        left: What could not be put back, one line each.
        kept: The file that keeps what was captured, for `xenvcpu recover`; None when nothing is to be recovered.
        console: The lines that Xen printed on its console meanwhile, where they can be read.
    """

    restored: Optional[bool] = None
    left: tuple[str, ...] = ()
    kept: Optional[str] = None
    console: tuple[str, ...] = ()


class FormatError(XenVcpuError, ValueError):
    """Bytes are not what they are said to be.

    Attributes:
        offset: Where in the bytes, or None.
    """

    def __init__(self, message: str, *, offset: Optional[int] = None) -> None:
        super().__init__(message)
        self.offset = offset


class ContextError(XenVcpuError, ValueError):
    """A vcpu context cannot be made, read or carried as asked.

    Attributes:
        field: The C name of the field at fault, or None.
        value: What was given.
        rule: The name of the rule that it breaks.
        remedy: What to do about it.
    """

    def __init__(
        self, message: str, *, field: Optional[str] = None, value: object = None, rule: str = "", remedy: str = ""
    ) -> None:
        super().__init__(f"{message}: {remedy}" if remedy else message)
        self.field = field
        self.value = value
        self.rule = rule
        self.remedy = remedy


class ContextFileError(ContextError):
    """A context file is wrong: the message names file, key and the nearest right name."""


class RefusedContextError(ContextError):
    """A context was refused by a rule before Xen was asked.

    Attributes:
        verdict: All findings.
        vcpuid: The vcpu that it was meant for, or None.
    """

    def __init__(self, verdict: Verdict, *, vcpuid: Optional[int] = None) -> None:
        first = verdict.findings[0]
        where = "" if vcpuid is None else f"vcpu {vcpuid}: "
        super().__init__(
            f"{where}{first.message} [{first.rule}]", field=first.field, value=first.value, rule=first.rule
        )
        self.verdict = verdict
        self.vcpuid = vcpuid


class DomainError(XenVcpuError):
    """A domain or vcpu is not in a state that allows what was asked.

    Attributes:
        domid: The domain, or None.
        vcpuid: The vcpu, or None.
    """

    def __init__(self, message: str, *, domid: Optional[int] = None, vcpuid: Optional[int] = None) -> None:
        super().__init__(message)
        self.domid = domid
        self.vcpuid = vcpuid


class NoSuchDomainError(DomainError, LookupError):
    """No domain has that domid, name or UUID."""


class NoSuchVcpuError(DomainError, LookupError):
    """The domain has no vcpu of that number."""


class VcpuOnlineError(DomainError):
    """A vcpu that is to be started is online already."""


class VcpuDownError(DomainError):
    """A vcpu is down, so that Xen shows no registers of it."""


class LastVcpuError(DomainError):
    """Stopping these vcpus would leave the domain without a running one."""


class ChangeError(DomainError):
    """A start, stop or recovery failed after Xen was asked; the domain was put back, unless `restored` is False.

    Attributes:
        differences: What the read-back showed, one line each.
    """

    def __init__(
        self, message: str, *, domid: Optional[int], differences: Sequence[str] = (), restored: Optional[bool] = None
    ) -> None:
        super().__init__(message, domid=domid)
        self.differences = tuple(differences)
        self.restored = restored


class StartError(ChangeError):
    """A start was taken by Xen, but all is not as asked, or the domain died of it."""


class StopError(ChangeError):
    """A stop was taken by Xen, but all is not as asked."""


class DeadlineError(DomainError):
    """Time ran out before the domain was touched; nothing has changed."""


class DomainChangedError(DomainError):
    """A domain, or one of its vcpus, is not what it was when the change was planned."""


class DomainNotBuiltError(DomainError):
    """A toolstack is still building the domain: it has no boot vcpu yet; nothing was touched."""


class DomainBusyError(DomainError):
    """Another process is starting or stopping vcpus of the domain."""


class DeviceAccessError(DomainError):
    """A vcpu is in the middle of an access to an emulated device, or may be, and a load would cut it off.

    Nothing was touched.

    Attributes:
        rule: The name of the rule.
        remedy: What to do about it.
    """

    rule = "device-access"

    def __init__(self, message: str, *, domid: int, vcpuid: Optional[int] = None, remedy: str) -> None:
        super().__init__(f"{message} [{self.rule}]: {remedy}", domid=domid, vcpuid=vcpuid)
        self.remedy = remedy


class NestedHvmError(DomainError):
    """A vcpu that is online may run a guest of its own, which a load would break; nothing was touched.

    Attributes:
        rule: The name of the rule.
        remedy: What to do about it.
    """

    rule = "nested-hvm"

    def __init__(self, domid: int, vcpuid: int, bit: str) -> None:
        self.remedy = f"let the guest unload its own hypervisor first, or accept it: --ignore-rules {self.rule}"
        super().__init__(
            f"vcpu {vcpuid} of domain {domid} has {bit} and may run a guest of its own, whose state a load would"
            f" overwrite; nothing was touched [{self.rule}]: {self.remedy}", domid=domid, vcpuid=vcpuid,
        )


class HostError(XenVcpuError):
    """This host cannot do what was asked: no library, no privilege, or a restriction."""


class GuardError(HostError):
    """The guard process cannot do its part; without it nothing is touched."""


class LibraryMissingError(HostError, ImportError):
    """A Xen library, or a Python package of an extra, is not installed."""


class RestrictedError(HostError, PermissionError):
    """The kernel or Xen refuses this caller the interface."""

    def __str__(self) -> str:
        # Without the "[Errno 1]" that OSError puts in front.
        return str(self.args[-1])


class HypercallError(XenVcpuError, OSError):
    """Xen, or a Xen library, refused a call.

    Attributes:
        op: The C function or hypercall operation.
        domid: The domain, or None.
        vcpuid: The vcpu, or None.
        errno: Xen's errno.
        log: What the C library logged during the call.
    """

    def __init__(
        self, op: str, errno: int, *, domid: Optional[int] = None, vcpuid: Optional[int] = None, log: str = "",
        hint: str = "",
    ) -> None:
        ids = (("domain", domid), ("vcpu", vcpuid))
        where = "".join(f" {name} {value}" for name, value in ids if value is not None)
        name = _errno.errorcode.get(errno, str(errno))
        text = f"{op}{where}: {name} ({os.strerror(errno)})"
        super().__init__(errno, "; ".join(part for part in (text, hint, log) if part))
        self.op = op
        self.domid = domid
        self.vcpuid = vcpuid
        self.log = log

    def __str__(self) -> str:
        return str(self.args[1])


class AlreadyInitialisedError(HypercallError, FileExistsError):
    """VCPUOP_initialise on a vcpu that is initialised (EEXIST)."""


class InterfaceMismatchError(HypercallError):
    """The Xen library was built for another release than the running Xen (EACCES)."""
