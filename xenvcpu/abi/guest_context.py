# SPDX-License-Identifier: MIT
"""`struct vcpu_guest_context`, as far as it means something for an HVM or PVH vcpu.

Source: xen/include/public/arch-x86/xen.h and xen-x86_64.h; arch_get_info_guest and
arch_set_info_guest in xen/arch/x86. 5168 bytes in every release from 4.6 to 4.22.

Setting it loads `user_regs`, the debug registers and the FPU image into an HVM vcpu and
nothing else: control registers, bases and (up to 4.20) selectors are only told when read.
It does not make a vcpu initialised.
"""

from __future__ import annotations

import enum

from xenvcpu.abi.layout import Field, Image, Layout, sequence

SIZE = 5168
FPU_SIZE = 512
_USER_REGS = 520

GENERAL = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi")
SELECTORS = ("ss", "es", "ds", "fs", "gs")


class VGCF(enum.IntFlag):
    """The bits of `flags`, named as in Xen behind `VGCF_`."""

    i387_valid = 1 << 0
    in_kernel = 1 << 2
    failsafe_disables_events = 1 << 3
    syscall_disables_events = 1 << 4
    online = 1 << 5


def _user_regs() -> list[Field]:
    last = _USER_REGS + 144
    return [
        *sequence(" ".join(f"user_regs.{name}" for name in GENERAL), 8, _USER_REGS),
        *sequence("user_regs.error_code user_regs.entry_vector", 4, _USER_REGS + 120),
        Field("user_regs.rip", _USER_REGS + 128, 8),
        Field("user_regs.cs", _USER_REGS + 136, 2),
        Field("user_regs.saved_upcall_mask", _USER_REGS + 140, 1),
        *sequence("user_regs.rflags user_regs.rsp", 8, last),
        *(Field(f"user_regs.{name}", last + 16 + 8 * i, 2) for i, name in enumerate(SELECTORS)),
    ]


LAYOUT = Layout(
    "vcpu_guest_context", SIZE,
    [
        Field("flags", FPU_SIZE, 8),
        *_user_regs(),
        *sequence(" ".join(f"ctrlreg[{n}]" for n in range(8)), 8, 4984),
        *sequence(" ".join(f"debugreg[{n}]" for n in range(8)), 8, 5048),
        *sequence("vm_assist fs_base gs_base_kernel gs_base_user", 8, 5136),
    ],
)
"""What only a PV vcpu has (trap_ctxt, the LDT and GDT frames, callbacks) stays in `Image.rest`."""


def decode(data: bytes) -> Image:
    """Read a `struct vcpu_guest_context`; the first 512 bytes of `Image.rest` are the FPU image.

    Raises:
        FormatError: Not 5168 bytes.
    """
    return LAYOUT.unpack(data)
