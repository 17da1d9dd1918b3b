# SPDX-License-Identifier: MIT
"""The guest port: VCPUOP through libxencall, for the caller's own vcpus only."""

from __future__ import annotations

import enum
import errno
from typing import TYPE_CHECKING, Callable

from xenvcpu.abi import vcpu_hvm_context, vcpu_info
from xenvcpu.abi.layout import Image
from xenvcpu.abi.xen_version import EXTRAVERSION_SIZE, XENVER_EXTRAVERSION, XENVER_VERSION
from xenvcpu.errors import AlreadyInitialisedError, HypercallError
from xenvcpu.ports.failure import failure
from xenvcpu.ports.handle import LibraryHandle
from xenvcpu.rules.release import Release

if TYPE_CHECKING:
    from xenvcpu.libraries import Libraries

_PROBE = vcpu_hvm_context.LAYOUT_32B.image({"pad": 1})
"""A context that no Xen takes: its padding is the first thing looked at, and is not complained about on the console."""

HYPERVISOR_XEN_VERSION = 17
HYPERVISOR_VCPU_OP = 24


class VcpuOp(enum.IntEnum):
    """The VCPUOP commands used here (xen/include/public/vcpu.h)."""

    VCPUOP_initialise = 0
    VCPUOP_up = 1
    VCPUOP_down = 2
    VCPUOP_is_up = 3
    VCPUOP_get_runstate_info = 4


class GuestPort(LibraryHandle):
    """An open libxencall handle; each method is one hypercall.

    Synchronization: not for use from two threads at once, nor after a fork.
    """

    def __init__(self, libraries: Libraries) -> None:
        """Open libxencall.

        Raises:
            LibraryMissingError: It is not installed.
            HostError: Not under Xen, or no permission.
        """
        super().__init__(libraries, libraries.xencall, "xencall_open", "xencall_close")

    def read_release(self) -> Release:
        """The running Xen, from XENVER_version and XENVER_extraversion."""
        op = HYPERVISOR_XEN_VERSION
        number: int = self._lib.xencall2(self._handle, op, XENVER_VERSION, 0)
        if number < 0:
            raise failure("xen_version", self._ffi.errno, log=self._log.take())
        extra = self._with_buffer(
            bytes(EXTRAVERSION_SIZE), lambda address: self._lib.xencall2(self._handle, op, XENVER_EXTRAVERSION, address)
        )
        return Release.from_hypervisor(number >> 16, number & 0xFFFF, extra.rstrip(b"\0").decode("ascii", "replace"))

    def _vcpu_op(self, op: VcpuOp, vcpuid: int, argument: int = 0) -> int:
        result: int = self._lib.xencall3(self._handle, HYPERVISOR_VCPU_OP, op, vcpuid, argument)
        if result < 0:
            raise failure(op.name, self._ffi.errno, vcpuid=vcpuid, log=self._log.take())
        return result

    def _with_buffer(self, data: bytes, call: Callable[[int], object]) -> bytes:
        """A hypercall with a struct at an address: passed in, and returned as Xen left it."""
        pointer = self._lib.xencall_alloc_buffer(self._handle, len(data))
        if pointer == self._ffi.NULL:
            raise failure("xencall_alloc_buffer", self._ffi.errno, log=self._log.take())
        try:
            memory = self._ffi.buffer(pointer, len(data))
            memory[:] = data
            call(int(self._ffi.cast("uintptr_t", pointer)))
            return bytes(memory)
        finally:
            self._lib.xencall_free_buffer(self._handle, pointer)

    def initialise(self, vcpuid: int, context: Image) -> None:
        """Give a vcpu its first state; it stays down (VCPUOP_initialise).

        Raises:
            AlreadyInitialisedError: It was initialised before.
            HypercallError: Xen refused the context.
        """
        assert context.layout.size == vcpu_hvm_context.SIZE
        self._with_buffer(context.pack(), lambda address: self._vcpu_op(VcpuOp.VCPUOP_initialise, vcpuid, address))

    def is_initialised(self, vcpuid: int) -> bool:
        """Whether a vcpu is initialised; asking changes nothing.

        VCPUOP_initialise answers EEXIST before it looks at the context, and this one is refused for its padding. Up to
        4.18 a vcpu numbered 32 or above without a vcpu_info is refused before that, and then counts as not initialised.

        Raises:
            NoSuchVcpuError: The domain has no vcpu of that number.
        """
        try:
            self.initialise(vcpuid, _PROBE)
        except AlreadyInitialisedError:
            return True
        except HypercallError as error:
            if error.errno != errno.EINVAL:
                raise
        return False

    def up(self, vcpuid: int) -> None:
        """Make an initialised vcpu run (VCPUOP_up)."""
        self._vcpu_op(VcpuOp.VCPUOP_up, vcpuid)

    def down(self, vcpuid: int) -> None:
        """Stop a vcpu; the last one of a domain powers it off (VCPUOP_down)."""
        self._vcpu_op(VcpuOp.VCPUOP_down, vcpuid)

    def is_up(self, vcpuid: int) -> bool:
        """Whether a vcpu is up (VCPUOP_is_up).

        Raises:
            NoSuchVcpuError: The domain has no vcpu of that number.
        """
        return self._vcpu_op(VcpuOp.VCPUOP_is_up, vcpuid) == 1

    def runstate(self, vcpuid: int) -> Image:
        """`struct vcpu_runstate_info` of a vcpu (VCPUOP_get_runstate_info)."""
        layout = vcpu_info.RUNSTATE_LAYOUT
        return layout.unpack(self._with_buffer(
            bytes(layout.size), lambda address: self._vcpu_op(VcpuOp.VCPUOP_get_runstate_info, vcpuid, address)
        ))
