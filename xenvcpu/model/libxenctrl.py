# SPDX-License-Identifier: MIT
"""The stand-in for libxenctrl. Source: tools/libs/ctrl (tools/libxc up to 4.14), Xen 4.7 to 4.22."""

from __future__ import annotations

import errno
from typing import Any

from xenvcpu._xen import ffi
from xenvcpu.abi import domain_info, guest_context
from xenvcpu.model import translate, version
from xenvcpu.model.answer import Refused
from xenvcpu.model.domctl import Caller, Domctl
from xenvcpu.model.standin import StandIn, prototype
from xenvcpu.rules.release import Since

_COPIES_REAL_LENGTH = Since("4.11.4", "4.12.3", "4.13.1", "4.14")
_HAS_SINGLE = Since("4.18")
_JUNK = b"\xa5"
_VCPU_MASK = 0xFFFF


class LibXenCtrl(StandIn):
    """libxenctrl."""

    name = "libxenctrl"

    def domctl(self, xch: Any) -> Domctl:
        """The domctls of whoever has this handle open."""
        self._state(xch)
        libraries = self.libraries
        return Domctl(libraries.host, Caller(libraries.here, libraries.is_matching))

    @prototype("xc_interface *(*)(xentoollog_logger *, xentoollog_logger *, unsigned int)")
    def xc_interface_open(self, logger: Any, dombuild_logger: Any, flags: int) -> Any:
        return self._open("xc_interface *", logger=logger)

    @prototype("int(*)(xc_interface *)")
    def xc_interface_close(self, xch: Any) -> int:
        self._close(xch)
        return 0

    @prototype("int(*)(xc_interface *, int, void *)")
    def xc_version(self, xch: Any, cmd: int, argument: Any) -> int:
        self._state(xch)
        try:
            value, data = version.answer(self.libraries.host, cmd)
        except Refused:
            # The library knows the commands itself, and answers this without setting errno.
            return -errno.EINVAL
        if data:
            ffi.memmove(argument, data, len(data))
        return value

    @prototype("int(*)(xc_interface *, char *, unsigned int *, int, int, uint32_t *)")
    def xc_readconsolering(self, xch: Any, buffer: Any, count: Any, clear: int, incremental: int, index: Any) -> int:
        start = index[0] if index != ffi.NULL else 0
        data, end = self.domctl(xch).readconsole(count[0], start, clear=bool(clear), incremental=bool(incremental))
        ffi.memmove(buffer, data, len(data))
        count[0] = len(data)
        if index != ffi.NULL:
            index[0] = end
        return 0

    @prototype("int(*)(xc_interface *, uint32_t)")
    def xc_domain_pause(self, xch: Any, domid: int) -> int:
        self.domctl(xch).pausedomain(domid)
        return 0

    @prototype("int(*)(xc_interface *, uint32_t)")
    def xc_domain_unpause(self, xch: Any, domid: int) -> int:
        self.domctl(xch).unpausedomain(domid)
        return 0

    @prototype("int(*)(xc_interface *, uint32_t, int)")
    def xc_domain_shutdown(self, xch: Any, domid: int, reason: int) -> int:
        self.domctl(xch).remote_shutdown(domid, reason)
        return 0

    @prototype("int(*)(xc_interface *, uint32_t, unsigned int, xc_domaininfo_t *)")
    def xc_domain_getinfolist(self, xch: Any, first: int, most: int, info: Any) -> int:
        release = self.libraries.host.release
        found = self.domctl(xch).getdomaininfolist(first, most)
        data = b"".join(domain_info.encode(each, release) for each in found)
        ffi.memmove(info, data, len(data))
        return len(found)

    @prototype("int(*)(xc_interface *, uint32_t, xc_domaininfo_t *)", _HAS_SINGLE)
    def xc_domain_getinfo_single(self, xch: Any, domid: int, info: Any) -> int:
        found = self.domctl(xch).getdomaininfo(domid)
        if info != ffi.NULL:
            data = domain_info.encode(found, self.libraries.host.release)
            ffi.memmove(info, data, len(data))
        return 0

    @prototype("int(*)(xc_interface *, uint32_t, uint8_t *, uint32_t)")
    def xc_domain_hvm_getcontext(self, xch: Any, domid: int, buffer: Any, size: int) -> int:
        is_query = buffer == ffi.NULL
        stream, length = self.domctl(xch).gethvmcontext(domid, None if is_query else size)
        if not is_query and self.libraries.host.release not in _COPIES_REAL_LENGTH:
            stream = stream.ljust(size, _JUNK)
        ffi.memmove(buffer, stream, len(stream))
        return length

    @prototype("int(*)(xc_interface *, uint32_t, uint16_t, uint16_t, void *, uint32_t)")
    def xc_domain_hvm_getcontext_partial(
        self, xch: Any, domid: int, typecode: int, instance: int, buffer: Any, size: int
    ) -> int:
        if buffer == ffi.NULL:
            self._state(xch)
            return -1
        payload, _ = self.domctl(xch).gethvmcontext_partial(domid, typecode, instance, size)
        ffi.memmove(buffer, payload[:size], min(size, len(payload)))
        return 0

    @prototype("int(*)(xc_interface *, uint32_t, uint8_t *, uint32_t)")
    def xc_domain_hvm_setcontext(self, xch: Any, domid: int, buffer: Any, size: int) -> int:
        if buffer == ffi.NULL and size:
            raise Refused(errno.EFAULT)
        self.domctl(xch).sethvmcontext(domid, bytes(ffi.buffer(buffer, size)) if size else b"")
        return 0

    @prototype("int(*)(xc_interface *, uint32_t, uint32_t, xc_vcpuinfo_t *)")
    def xc_vcpu_getinfo(self, xch: Any, domid: int, vcpuid: int, info: Any) -> int:
        ffi.memmove(info, bytes(ffi.sizeof("xc_vcpuinfo_t")), ffi.sizeof("xc_vcpuinfo_t"))
        info.vcpu = vcpuid & _VCPU_MASK
        image = self.domctl(xch).getvcpuinfo(domid, vcpuid & _VCPU_MASK)
        ffi.memmove(info, image.pack(), image.layout.size)
        return 0

    @prototype("int(*)(xc_interface *, uint32_t, uint32_t, vcpu_guest_context_any_t *)")
    def xc_vcpu_getcontext(self, xch: Any, domid: int, vcpuid: int, context: Any) -> int:
        image = self.domctl(xch).getvcpucontext(domid, vcpuid & _VCPU_MASK)
        ffi.memmove(context, image.pack(), guest_context.SIZE)
        return 0

    @prototype("int(*)(xc_interface *, uint32_t, uint32_t, vcpu_guest_context_any_t *)")
    def xc_vcpu_setcontext(self, xch: Any, domid: int, vcpuid: int, context: Any) -> int:
        image = None
        if context != ffi.NULL:
            image = guest_context.decode(bytes(ffi.buffer(ffi.cast("char *", context), guest_context.SIZE)))
        self.domctl(xch).setvcpucontext(domid, vcpuid & _VCPU_MASK, image)
        return 0

    @prototype("unsigned long(*)(xc_interface *, uint32_t, int, unsigned long long)")
    def xc_translate_foreign_address(self, xch: Any, domid: int, vcpuid: int, virtual: int) -> int:
        return translate.frame_of(self.domctl(xch), self.libraries.host, domid, vcpuid, virtual)
