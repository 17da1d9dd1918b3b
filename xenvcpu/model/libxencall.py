# SPDX-License-Identifier: MIT
"""The stand-in for libxencall: hypercalls of the domain that the caller stands in.

Source: tools/libs/call, Xen 4.7 to 4.22. Only memory from `xencall_alloc_buffer` can be
reached by the hypervisor; anything else is EFAULT.
"""

from __future__ import annotations

import errno
from typing import Any, Dict, Tuple

from xenvcpu._xen import ffi
from xenvcpu.model import vcpuop, version
from xenvcpu.model.answer import Refused
from xenvcpu.model.standin import MisuseError, StandIn, address, prototype
from xenvcpu.rules.release import Since

_BIG_HEADER = Since("4.12")
_SCHED_OP = 29
_SCHEDOP_SHUTDOWN = 2


class _Pointer:
    """A hypercall argument as an address in the caller's memory."""

    def __init__(self, buffers: Dict[int, Tuple[Any, int]], where: int) -> None:
        self._buffers = buffers
        self._where = where

    @property
    def is_null(self) -> bool:
        return not self._where

    def _at(self, size: int) -> Any:
        for start, (_, length) in self._buffers.items():
            if start <= self._where and self._where + size <= start + length:
                return ffi.cast("char *", self._where)
        raise Refused(errno.EFAULT)

    def read(self, size: int) -> bytes:
        return bytes(ffi.buffer(self._at(size), size))

    def write(self, data: bytes) -> None:
        ffi.memmove(self._at(len(data)), data, len(data))


class LibXenCall(StandIn):
    """libxencall."""

    name = "libxencall"

    @prototype("xencall_handle *(*)(xentoollog_logger *, unsigned int)")
    def xencall_open(self, logger: Any, flags: int) -> Any:
        return self._open("xencall_handle *", {}, logger=logger)

    @prototype("int(*)(xencall_handle *)")
    def xencall_close(self, handle: Any) -> int:
        self._close(handle)
        return 0

    def _hypercall(self, handle: Any, op: int, *arguments: int) -> int:
        buffers = self._state(handle)
        libraries = self.libraries
        domain = libraries.host.domain(libraries.here)
        if domain.is_privcmd_restricted:
            raise Refused(errno.EPERM)
        first, second, third = (*arguments, 0, 0, 0)[:3]
        if op == vcpuop.HYPERCALL:
            pointer = _Pointer(buffers, third)
            caller = next((vcpu.vcpuid for vcpu in domain.online), 0)
            return vcpuop.vcpu_op(libraries.host, domain, first & 0xFFFFFFFF, second & 0xFFFFFFFF, pointer, caller)
        if op == version.HYPERCALL:
            value, data = version.answer(libraries.host, first & 0xFFFFFFFF)
            if data:
                _Pointer(buffers, second).write(data)
            return value
        if op == _SCHED_OP:
            return self._sched_op(first, _Pointer(buffers, second))
        raise Refused(errno.ENOSYS)

    def _sched_op(self, cmd: int, pointer: _Pointer) -> int:
        host = self.libraries.host
        host.begin("sched_op", changes=cmd == _SCHEDOP_SHUTDOWN)
        if cmd == _SCHEDOP_SHUTDOWN:
            host.domain(self.libraries.here).shut_down(int.from_bytes(pointer.read(4), "little"))
        return 0

    @prototype("int(*)(xencall_handle *, unsigned int)")
    def xencall0(self, handle: Any, op: int) -> int:
        return self._hypercall(handle, op)

    @prototype("int(*)(xencall_handle *, unsigned int, uint64_t)")
    def xencall1(self, handle: Any, op: int, first: int) -> int:
        return self._hypercall(handle, op, first)

    @prototype("int(*)(xencall_handle *, unsigned int, uint64_t, uint64_t)")
    def xencall2(self, handle: Any, op: int, *arguments: int) -> int:
        return self._hypercall(handle, op, *arguments)

    @prototype("int(*)(xencall_handle *, unsigned int, uint64_t, uint64_t, uint64_t)")
    def xencall3(self, handle: Any, op: int, *arguments: int) -> int:
        return self._hypercall(handle, op, *arguments)

    @prototype("int(*)(xencall_handle *, unsigned int, uint64_t, uint64_t, uint64_t, uint64_t)")
    def xencall4(self, handle: Any, op: int, *arguments: int) -> int:
        return self._hypercall(handle, op, *arguments)

    @prototype("int(*)(xencall_handle *, unsigned int, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t)")
    def xencall5(self, handle: Any, op: int, *arguments: int) -> int:
        return self._hypercall(handle, op, *arguments)

    @prototype("void *(*)(xencall_handle *, size_t)")
    def xencall_alloc_buffer(self, handle: Any, size: int) -> Any:
        buffers = self._state(handle)
        # The library keeps a header before what it returns: never page aligned.
        header = 16 if self.libraries.host.release in _BIG_HEADER else 4
        memory = ffi.new("char[]", header + size)
        pointer = memory + header
        buffers[address(pointer)] = (memory, size)
        return pointer

    @prototype("void(*)(xencall_handle *, void *)")
    def xencall_free_buffer(self, handle: Any, pointer: Any) -> None:
        buffers = self._state(handle)
        if pointer != ffi.NULL and buffers.pop(address(pointer), None) is None:
            raise MisuseError(f"{pointer!r} is not from xencall_alloc_buffer; the real library would crash")

    @property
    def open_buffers(self) -> int:
        """How many buffers are not freed."""
        return sum(len(state) for _, state in self._handles.values())
