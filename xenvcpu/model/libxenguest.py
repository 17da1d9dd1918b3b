# SPDX-License-Identifier: MIT
"""The stand-in for libxenguest. Source: xg_cpuid_x86.c (xc_cpuid_x86.c up to 4.14), Xen 4.12 to 4.22."""

from __future__ import annotations

import errno
from typing import Any, List, Tuple

from xenvcpu._xen import ffi
from xenvcpu.abi import cpuid
from xenvcpu.abi.cpuid import Leaf
from xenvcpu.model.answer import Refused
from xenvcpu.model.standin import StandIn, prototype
from xenvcpu.rules.policy import READABLE
from xenvcpu.rules.release import Since, Until

_HAS_OBJECT, _HAD_ONE_CALL = Since("4.16"), Until("4.16")


def _copy(found: List[Leaf], leaves: Any, count: Any) -> None:
    if leaves == ffi.NULL:
        return
    if len(found) > count[0]:
        raise Refused(errno.ENOBUFS)
    data = cpuid.encode(found)
    ffi.memmove(leaves, data, len(data))
    count[0] = len(found)


class LibXenGuest(StandIn):
    """libxenguest, as far as it is about CPU policies. It is called on handles of libxenctrl's."""

    name = "libxenguest"

    def log(self, arguments: Tuple[Any, ...], line: str) -> None:
        """Log a line to the logger of the libxenctrl handle."""
        self.libraries.xenctrl.log(arguments, line)

    def _read(self, xch: Any, domid: int) -> List[Leaf]:
        return list(self.libraries.xenctrl.domctl(xch).get_cpu_policy(domid))

    @prototype(
        "int(*)(xc_interface *, uint32_t, uint32_t *, xen_cpuid_leaf_t *, uint32_t *, xen_msr_entry_t *)",
        READABLE, _HAD_ONE_CALL,
    )
    def xc_get_domain_cpu_policy(
        self, xch: Any, domid: int, nr_leaves: Any, leaves: Any, nr_msrs: Any, msrs: Any
    ) -> int:
        _copy(self._read(xch, domid), leaves, nr_leaves)
        return 0

    @prototype("xc_cpu_policy_t *(*)(void)", _HAS_OBJECT)
    def xc_cpu_policy_init(self) -> Any:
        found: List[Leaf] = []
        return self._open("xc_cpu_policy_t *", found)

    @prototype("void(*)(xc_cpu_policy_t *)", _HAS_OBJECT)
    def xc_cpu_policy_destroy(self, policy: Any) -> None:
        if policy != ffi.NULL:
            self._close(policy)

    @prototype("int(*)(xc_interface *, uint32_t, xc_cpu_policy_t *)", _HAS_OBJECT)
    def xc_cpu_policy_get_domain(self, xch: Any, domid: int, policy: Any) -> int:
        self._state(policy)[:] = self._read(xch, domid)
        return 0

    @prototype(
        "int(*)(xc_interface *, const xc_cpu_policy_t *, xen_cpuid_leaf_t *, uint32_t *, xen_msr_entry_t *,"
        " uint32_t *)",
        _HAS_OBJECT,
    )
    def xc_cpu_policy_serialise(
        self, xch: Any, policy: Any, leaves: Any, nr_leaves: Any, msrs: Any, nr_msrs: Any
    ) -> int:
        _copy(self._state(policy), leaves, nr_leaves)
        return 0
