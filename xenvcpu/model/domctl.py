# SPDX-License-Identifier: MIT
"""The domctl hypercall, as dom0 makes it on other domains.

Source: do_domctl (common/domctl.c), arch_do_domctl (arch/x86/domctl.c), Xen 4.7, 4.11, 4.17 and 4.22.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import Iterator, List, NamedTuple, Optional, Tuple

from xenvcpu.abi import vcpu_info
from xenvcpu.abi.cpuid import Leaf
from xenvcpu.abi.domain_info import EMU_LAPIC, NO_VCPU, DomainInfo
from xenvcpu.abi.layout import Image
from xenvcpu.model import cpupolicy, guestcontext, load, save
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Domain, Kind, Shutdown
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.running import settle
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.rules import policy
from xenvcpu.rules.release import Since

PAUSES = 255
_ASKS_PRIVILEGE_FIRST = Since("4.22")
_NO_VCPU_ENOENT = Since("4.22")
_FINDS_NEXT = Since("4.8")
_FINDS_EXACT = Since("4.18")
_EMPTY: bytes = b""
_EMULATION = {Kind.PV: 0, Kind.PVH: EMU_LAPIC, Kind.HVM: 0x3FF}
"""What libxl asks for (libxl_x86.c): for HVM all but vPCI."""


class Caller(NamedTuple):
    """Who makes a domctl: its domain, and for which release its library was built.

    Attributes:
        domid: The calling domain.
        is_matching: Whether the library has the interface version of the running Xen.
    """

    domid: int
    is_matching: bool = True


class Domctl:
    """The domctls of one caller.

    All raise `Refused`: EACCES for a library of another release, ESRCH for an unknown
    domain, EPERM for a caller that is no control domain; then what each answers itself.
    """

    def __init__(self, host: Hypervisor, caller: Caller) -> None:
        self._host = host
        self._caller = caller

    @contextmanager
    def _domctl(self, name: str, domid: int, *, changes: bool = False) -> Iterator[Domain]:
        """Everything around one domctl: counting, who may, which domain, and vcpus that may run then."""
        host = self._host
        host.begin(name, changes=changes)
        if not self._caller.is_matching:
            raise Refused(errno.EACCES)
        caller = host.domains.get(self._caller.domid)
        may = caller is not None and caller.is_privileged
        if not may and host.release in _ASKS_PRIVILEGE_FIRST:
            raise Refused(errno.EPERM)
        domain = host.domain(domid)
        if not may:
            raise Refused(errno.EPERM)
        try:
            yield domain
        finally:
            if changes:
                settle(host)

    def _require_other(self, domain: Domain) -> None:
        if domain.domid == self._caller.domid:
            raise Refused(errno.EINVAL)

    def _require_hvm(self, domain: Domain) -> None:
        self._require_other(domain)
        if not domain.is_hvm:
            raise Refused(errno.EINVAL)

    def pausedomain(self, domid: int) -> None:
        """Take one pause: EOVERFLOW when 255 are held."""
        with self._domctl("pausedomain", domid, changes=True) as domain:
            self._require_other(domain)
            if domain.pause_count >= PAUSES:
                raise Refused(errno.EOVERFLOW)
            domain.pause_count += 1

    def unpausedomain(self, domid: int) -> None:
        """Give one pause back: EINVAL when none is held."""
        with self._domctl("unpausedomain", domid, changes=True) as domain:
            if not domain.pause_count:
                raise Refused(errno.EINVAL)
            domain.pause_count -= 1
            for server in () if domain.pause_count else domain.ioreq_servers.values():
                server.run()

    def gethvmcontext(self, domid: int, size: Optional[int]) -> Tuple[bytes, int]:
        """The whole save stream; with `size` None only the worst-case size. ENOSPC for a buffer below that."""
        with self._domctl("gethvmcontext", domid) as domain:
            self._require_hvm(domain)
            worst = save.worst_size(self._host, domain)
            if size is None:
                return _EMPTY, worst
            if size < worst:
                raise Refused(errno.ENOSPC)
            stream = save.save(self._host, domain)
            return stream, len(stream)

    def gethvmcontext_partial(self, domid: int, typecode: int, instance: int, size: Optional[int]) -> Tuple[bytes, int]:
        """One record's payload, and its length; see `save.save_one`."""
        with self._domctl("gethvmcontext_partial", domid) as domain:
            self._require_hvm(domain)
            return save.save_one(self._host, domain, typecode, instance, size)

    def sethvmcontext(self, domid: int, stream: bytes) -> None:
        """Load a save stream; see `load.load`."""
        with self._domctl("sethvmcontext", domid, changes=True) as domain:
            self._require_hvm(domain)
            load.load(self._host, domain, stream)

    def _vcpu(self, domain: Domain, vcpuid: int) -> Vcpu:
        vcpu = domain.vcpu(vcpuid)
        if vcpu is None:
            raise Refused(errno.EINVAL)
        return vcpu

    def setvcpucontext(self, domid: int, vcpuid: int, context: Optional[Image]) -> None:
        """Reset a vcpu (no context), or set its general registers."""
        with self._domctl("setvcpucontext", domid, changes=True) as domain:
            self._require_other(domain)
            vcpu = self._vcpu(domain, vcpuid)
            if context is None:
                vcpu.reset()
            else:
                guestcontext.set_context(self._host, domain, vcpu, context)

    def getvcpucontext(self, domid: int, vcpuid: int) -> Image:
        """A vcpu's general registers: ENODATA when it is not initialised."""
        with self._domctl("getvcpucontext", domid) as domain:
            vcpu = self._vcpu(domain, vcpuid)
            if not vcpu.is_initialised:
                raise Refused(errno.ENODATA)
            return guestcontext.get_context(self._host, vcpu)

    def getvcpuinfo(self, domid: int, vcpuid: int) -> Image:
        """Whether a vcpu is online, and how long it has run."""
        with self._domctl("getvcpuinfo", domid) as domain:
            vcpu = domain.vcpu(vcpuid)
            if vcpu is None:
                raise Refused(errno.ENOENT if self._host.release in _NO_VCPU_ENOENT else errno.EINVAL)
            return vcpu_info.LAYOUT.image({
                "vcpu": vcpuid, "online": not vcpu.is_down, "blocked": vcpu.is_blocked, "cpu_time": vcpu.cpu_time,
            })

    def getdomaininfo(self, domid: int) -> DomainInfo:
        """One domain; up to 4.17 the next one when there is none of that domid (4.7: the first from there on)."""
        host, found = self._host, domid
        if host.release not in _FINDS_EXACT and domid not in host.domains:
            found = min((other for other in host.domains if other >= domid), default=domid)
        with self._domctl("getdomaininfo", found) as domain:
            return info(domain)

    def get_cpu_policy(self, domid: int) -> Tuple[Leaf, ...]:
        """The CPUID leaves of a domain's CPU policy; ENOSYS up to 4.11, which has none to show."""
        with self._domctl("get_cpu_policy", domid) as domain:
            if self._host.release not in policy.READABLE:
                raise Refused(errno.ENOSYS)
            return cpupolicy.leaves(domain.features, self._host.vendor, self._host.release)

    def getdomaininfolist(self, first: int, most: int) -> List[DomainInfo]:
        """The domains from `first` on, at most `most` (a sysctl: EPERM for a caller that is no control domain)."""
        host = self._host
        host.begin("getdomaininfolist")
        self._require_control()
        return [info(host.domains[domid]) for domid in sorted(host.domains) if domid >= first][:most]

    def readconsole(self, most: int, index: int, *, clear: bool, incremental: bool) -> Tuple[bytes, int]:
        """What Xen printed, and the index to go on from (a sysctl)."""
        self._host.begin("readconsole", changes=clear)
        self._require_control()
        return self._host.console.read(most, index, incremental=incremental, clear=clear)

    def _require_control(self) -> None:
        if not self._caller.is_matching:
            raise Refused(errno.EACCES)
        caller = self._host.domains.get(self._caller.domid)
        if caller is None or not caller.is_privileged:
            raise Refused(errno.EPERM)

    def remote_shutdown(self, domid: int, reason: int) -> None:
        """Shut a domain down from outside (SCHEDOP_remote_shutdown)."""
        with self._domctl("remote_shutdown", domid, changes=True) as domain:
            if reason not in tuple(Shutdown):
                raise Refused(errno.EINVAL)
            domain.shut_down(reason)


def info(domain: Domain) -> DomainInfo:
    """What Xen tells of a domain."""
    online = list(domain.online)
    return DomainInfo(
        domain.domid, domain.handle, is_hvm=domain.is_hvm,
        is_shutdown=domain.shutdown is not None, is_paused=bool(domain.pause_count),
        is_blocked=bool(online) and all(vcpu.is_blocked for vcpu in online), is_hap=domain.is_hvm and domain.is_hap,
        shutdown_reason=domain.shutdown, nr_online_vcpus=len(online),
        max_vcpu_id=len(domain.vcpus) - 1 if domain.vcpus else NO_VCPU,
        cpu_time=sum(vcpu.cpu_time for vcpu in domain.vcpus), tot_pages=domain.memory.size,
        emulation=_EMULATION[domain.kind],
    )
