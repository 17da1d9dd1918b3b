# SPDX-License-Identifier: MIT
"""The dom0 port: libxenctrl, for any domain but the caller's own."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from xenvcpu.abi import banner, domain_info, guest_context, vcpu_info
from xenvcpu.abi.cpuid import Leaves
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.abi.layout import Image
from xenvcpu.abi.xen_version import EXTRAVERSION_SIZE, XENVER_EXTRAVERSION, XENVER_VERSION
from xenvcpu.errors import HypercallError, NoSuchDomainError
from xenvcpu.ports import cpupolicy
from xenvcpu.ports.failure import failure
from xenvcpu.ports.handle import LibraryHandle
from xenvcpu.ports.ioreq import IoreqPort
from xenvcpu.rules.release import Release

if TYPE_CHECKING:
    from xenvcpu.libraries import Libraries

_CONSOLE_SIZE = 1 << 14
_CONSOLE_READS = 1 << 10
_LIST_CHUNK = 256
_LARGEST_INFO = 256
"""Room for one `xc_domaininfo_t` of whichever release the library was built for, or of one to come."""


class Dom0Port(LibraryHandle):
    """An open libxenctrl handle; each method is one C call.

    Attributes:
        release: The running Xen.

    Synchronization: not for use from two threads at once, nor after a fork.
    """

    def __init__(self, libraries: Libraries) -> None:
        """Open libxenctrl.

        Raises:
            LibraryMissingError: It is not installed.
            HostError: Not under Xen, or no permission.
        """
        self._libraries = libraries
        super().__init__(libraries, libraries.xenctrl, "xc_interface_open", "xc_interface_close", loggers=2)
        try:
            self.release = self._read_release()
        except BaseException:
            self.close()
            raise
        self._single = self._newer("xc_domain_getinfo_single")
        self._console_index = self._ffi.new("uint32_t *")

    @property
    def _xch(self) -> Any:
        return self._handle

    def _checked(self, op: str, result: int, domid: Optional[int] = None, vcpuid: Optional[int] = None) -> int:
        """Pass a result on, or raise for -1. Called in one expression with the call, so that errno is still its own."""
        if result < 0:
            number = self._ffi.errno
            raise failure(op, number, domid=domid, vcpuid=vcpuid, log=self._log.take())
        return result

    def _newer(self, function: str) -> Any:
        """A function that not every release's library has, or None."""
        try:
            return getattr(self._lib, function)
        except self._ffi.error:
            return None

    def _read_release(self) -> Release:
        number = self._checked("xc_version", self._lib.xc_version(self._xch, XENVER_VERSION, self._ffi.NULL))
        extra = self._ffi.new("char[]", EXTRAVERSION_SIZE)
        self._checked("xc_version", self._lib.xc_version(self._xch, XENVER_EXTRAVERSION, extra))
        text = self._ffi.string(extra).decode("ascii", "replace")
        return Release.from_hypervisor(number >> 16, number & 0xFFFF, text)

    @property
    def has_xsave(self) -> bool:
        """Whether the host's processor has XSAVE."""
        return bool(self._libraries.has_xsave)

    def now(self) -> int:
        """Nanoseconds on a clock of the host that every process reads alike."""
        return self._libraries.nanoseconds()

    def domains(self, first: int = 0, most: int = _LIST_CHUNK) -> Tuple[DomainInfo, ...]:
        """The domains from `first` on, in order of domid, at most `most` (XEN_SYSCTL_getdomaininfolist)."""
        size = domain_info.size(self.release)
        buffer = self._ffi.new("uint8_t[]", max(size, _LARGEST_INFO) * most)
        infos = self._ffi.cast("xc_domaininfo_t *", buffer)
        count = self._checked(
            "xc_domain_getinfolist", self._lib.xc_domain_getinfolist(self._xch, first, most, infos)
        )
        data = bytes(self._ffi.buffer(buffer, size * count))
        return tuple(domain_info.decode(data[i * size : (i + 1) * size], self.release) for i in range(count))

    def domain(self, domid: int) -> DomainInfo:
        """One domain: XEN_DOMCTL_getdomaininfo where the library asks for no other (4.18), which needs no sysctl.

        Raises:
            NoSuchDomainError: Xen has none of that domid.
        """
        if self._single is not None:
            buffer = self._ffi.new("uint8_t[]", _LARGEST_INFO)
            info = self._ffi.cast("xc_domaininfo_t *", buffer)
            self._checked("xc_domain_getinfo_single", self._single(self._xch, domid, info), domid)
            return domain_info.decode(bytes(self._ffi.buffer(buffer, domain_info.size(self.release))), self.release)
        found = self.domains(domid, 1)
        if not found or found[0].domid != domid:
            raise NoSuchDomainError(f"there is no domain {domid}", domid=domid)
        return found[0]

    def vcpu(self, domid: int, vcpuid: int) -> Image:
        """`xc_vcpuinfo_t` of one vcpu (XEN_DOMCTL_getvcpuinfo)."""
        info = self._ffi.new("uint8_t[]", vcpu_info.LAYOUT.size)
        pointer = self._ffi.cast("xc_vcpuinfo_t *", info)
        self._checked("xc_vcpu_getinfo", self._lib.xc_vcpu_getinfo(self._xch, domid, vcpuid, pointer), domid, vcpuid)
        return vcpu_info.LAYOUT.unpack(bytes(self._ffi.buffer(info)))

    def cpu_policy(self, domid: int) -> Optional[Leaves]:
        """A domain's CPU policy (XEN_DOMCTL_get_cpu_policy, once); None where it is not to be had, as up to 4.11."""
        return cpupolicy.read(self._libraries, self._xch, self.release, domid, self._checked)

    def is_initialised(self, domid: int, vcpuid: int) -> bool:
        """Whether a vcpu is initialised: XEN_DOMCTL_getvcpucontext answers ENODATA if not."""
        context = self._ffi.new("uint8_t[]", guest_context.LAYOUT.size)
        pointer = self._ffi.cast("vcpu_guest_context_any_t *", context)
        try:
            self._checked(
                "xc_vcpu_getcontext", self._lib.xc_vcpu_getcontext(self._xch, domid, vcpuid, pointer), domid, vcpuid
            )
        except HypercallError as error:
            if error.errno == errno.ENODATA:
                return False
            raise
        return True

    def ioreqs(self) -> IoreqPort:
        """Open a port for the ioreq pages of domains; see there for what it raises. The caller closes it."""
        return IoreqPort(self._libraries)

    def pause(self, domid: int) -> None:
        """Take one pause on a domain; they are counted, up to 255."""
        self._checked("xc_domain_pause", self._lib.xc_domain_pause(self._xch, domid), domid)

    def unpause(self, domid: int) -> None:
        """Give one pause back."""
        self._checked("xc_domain_unpause", self._lib.xc_domain_unpause(self._xch, domid), domid)

    def context_buffer(self, domid: int) -> Any:
        """Memory for the largest save stream that this domain can have."""
        size = self._checked(
            "xc_domain_hvm_getcontext", self._lib.xc_domain_hvm_getcontext(self._xch, domid, self._ffi.NULL, 0), domid
        )
        return self._ffi.new("uint8_t[]", size)

    def read_context(self, domid: int, buffer: Any) -> bytes:
        """The domain's whole save stream (XEN_DOMCTL_gethvmcontext), through a `context_buffer`."""
        size = self._checked(
            "xc_domain_hvm_getcontext", self._lib.xc_domain_hvm_getcontext(self._xch, domid, buffer, len(buffer)), domid
        )
        return bytes(self._ffi.buffer(buffer, min(size, len(buffer))))

    def read_record(self, domid: int, typecode: int, instance: int, size: int) -> bytes:
        """The payload of one save record (XEN_DOMCTL_gethvmcontext_partial); its `tsc` is stale."""
        record = self._ffi.new("uint8_t[]", size)
        self._checked(
            "xc_domain_hvm_getcontext_partial",
            self._lib.xc_domain_hvm_getcontext_partial(self._xch, domid, typecode, instance, record, size),
            domid, instance,
        )
        return bytes(self._ffi.buffer(record))

    def load_context(self, domid: int, stream: bytes) -> None:
        """Load a save stream (XEN_DOMCTL_sethvmcontext). Every vcpu without a CPU record in it is down afterwards."""
        buffer = self._ffi.from_buffer("uint8_t[]", stream)
        self._checked(
            "xc_domain_hvm_setcontext", self._lib.xc_domain_hvm_setcontext(self._xch, domid, buffer, len(stream)), domid
        )

    def reset_vcpu(self, domid: int, vcpuid: int) -> None:
        """Make a vcpu down and uninitialised: XEN_DOMCTL_setvcpucontext with no context."""
        self._checked(
            "xc_vcpu_setcontext", self._lib.xc_vcpu_setcontext(self._xch, domid, vcpuid, self._ffi.NULL), domid, vcpuid
        )

    @property
    def vendor(self) -> Optional[str]:
        """Whose processor the host has: `intel` (VT-x) or `amd` (SVM); None where that is not to be seen."""
        found: Optional[str] = self._libraries.vendor
        return found

    def is_debug_build(self) -> Optional[bool]:
        """Whether Xen is a debug build, as it said when it booted; None when its console holds that no more."""
        index = self._ffi.new("uint32_t *")
        try:
            printed = self._printed(index)
        except HypercallError:
            return None
        # The index counts all that was ever printed: where it is the length, nothing has left the ring.
        return banner.is_debug_build(printed.decode("utf-8", "replace"), is_whole=index[0] == len(printed))

    def console(self) -> str:
        """What Xen printed on its console since the last call (or since it booted).

        As many C calls as it takes, up to a bound: on a large host the console keeps more than one buffer holds,
        and a guest may print without end.
        """
        return self._printed(self._console_index).decode("utf-8", "replace")

    def _printed(self, index: Any) -> bytes:
        """What is in the ring from an index on, which goes on to where it ends."""
        text = self._ffi.new("char[]", _CONSOLE_SIZE)
        length = self._ffi.new("unsigned int *", _CONSOLE_SIZE)
        parts: List[bytes] = []
        while length[0] == _CONSOLE_SIZE and len(parts) < _CONSOLE_READS:
            self._checked(
                "xc_readconsolering", self._lib.xc_readconsolering(self._xch, text, length, 0, 1, index)
            )
            parts.append(bytes(self._ffi.buffer(text, length[0])))
        return b"".join(parts)
