# SPDX-License-Identifier: MIT
"""From a guest's virtual address to its frame, as libxenctrl walks the page tables.

Source: xc_translate_foreign_address (tools/libs/ctrl/xc_pagetab.c, Xen 4.17).
"""

from __future__ import annotations

import errno

from xenvcpu.abi.registers import CR0_PG, CR4_PAE, EFER_LMA
from xenvcpu.abi import cpu_record
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.model.answer import Refused
from xenvcpu.model.domctl import Domctl
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.memory import PAGE

_PRESENT, _LARGE = 1, 1 << 7
_ADDRESS = 0x000FFFFFFFFFF000


def frame_of(domctl: Domctl, host: Hypervisor, domid: int, vcpuid: int, virtual: int) -> int:
    """The frame at a virtual address of a vcpu.

    Raises:
        Refused: Of the partial get (a vcpu that is down has no record); EADDRNOTAVAIL for an entry that is not present.
    """
    payload, _ = domctl.gethvmcontext_partial(domid, Typecode.CPU, vcpuid, cpu_record.SIZE)
    record = cpu_record.decode(payload)
    if not record["cr0"] & CR0_PG:
        return virtual >> 12
    levels = 4 if record["msr_efer"] & EFER_LMA else 3 if record["cr4"] & CR4_PAE else 2
    size, bits = (4, 10) if levels == 2 else (8, 9)
    table = record["cr3"] & (_ADDRESS if levels != 3 else 0xFFFFFFE0)
    memory = host.domain(domid).memory
    for level in range(levels, 0, -1):
        shift = 12 + bits * (level - 1)
        try:
            data = memory.read(table + (virtual >> shift & (1 << bits) - 1) * size, size)
        except IndexError:
            raise Refused(errno.EINVAL) from None
        entry = int.from_bytes(data, "little")
        if not entry & _PRESENT:
            raise Refused(errno.EADDRNOTAVAIL)
        if level == 1 or level < 4 and entry & _LARGE and not (levels == 3 and level == 3):
            return ((entry & _ADDRESS) + (virtual & (1 << shift) - 1)) // PAGE
        table = entry & _ADDRESS
    raise AssertionError("the walk ends at level 1")
