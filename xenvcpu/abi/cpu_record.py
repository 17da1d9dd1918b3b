# SPDX-License-Identifier: MIT
"""`struct hvm_hw_cpu`: the CPU record of the HVM save stream.

Source: xen/include/public/arch-x86/hvm/save.h. 1032 bytes since Xen 4.7 (`flags` and
`pad0` came then), 1024 in 4.6, 1016 before 3.4 (no `msr_tsc_aux`).
"""

from __future__ import annotations

from xenvcpu.abi.layout import Field, Image, Layout, sequence
from xenvcpu.errors import FormatError

TYPECODE = 2
SIZE = 1032
FPU_SIZE = 512
FPU_INITIALISED = 1
"""`flags`: the FPU image is valid (XEN_X86_FPU_INITIALISED)."""

SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldtr")
"""The order of the segments in the record."""

GENERAL = ("rax", "rbx", "rcx", "rdx", "rbp", "rsi", "rdi", "rsp", *(f"r{n}" for n in range(8, 16)))


def _segments(what: str, *more: str) -> str:
    return " ".join([*(f"{name}_{what}" for name in SEGMENTS), *more])


_FIELDS_46 = [
    *sequence(" ".join(GENERAL) + " rip rflags cr0 cr2 cr3 cr4 dr0 dr1 dr2 dr3 dr6 dr7", 8, FPU_SIZE),
    *sequence(_segments("sel") + " " + _segments("limit", "idtr_limit", "gdtr_limit"), 4, 736),
    *sequence(_segments("base", "idtr_base", "gdtr_base"), 8, 808),
    *sequence(_segments("arbytes"), 4, 888),
    *sequence(
        "sysenter_cs sysenter_esp sysenter_eip shadow_gs msr_flags msr_lstar msr_star msr_cstar msr_syscall_mask"
        " msr_efer msr_tsc_aux tsc", 8, 920,
    ),
    *sequence("pending_event error_code", 4, 1016),
]

LAYOUT_46 = Layout("hvm_hw_cpu", 1024, _FIELDS_46)
LAYOUT = Layout("hvm_hw_cpu", SIZE, [*_FIELDS_46, Field("flags", 1024, 4), Field("pad0", 1028, 4)])


def decode(data: bytes) -> Image:
    """Read a CPU record of 1032 bytes (4.7 and later) or 1024 bytes (4.6); no descriptor.

    Returns:
        The record; `Image.rest` is the 512-byte FXSAVE image.

    Raises:
        FormatError: Another length.
    """
    for known in (LAYOUT, LAYOUT_46):
        if len(data) == known.size:
            return known.unpack(data)
    raise FormatError(f"a CPU record is {SIZE} bytes (1024 in Xen 4.6), got {len(data)}", offset=min(len(data), SIZE))
