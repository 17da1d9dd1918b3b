# SPDX-License-Identifier: MIT
"""The MTRR record: memory types of one vcpu, its PAT among them.

Source: `struct hvm_hw_mtrr` in xen/include/public/arch-x86/hvm/save.h, 240 bytes in every
release.
"""

from __future__ import annotations

from xenvcpu.abi.layout import Layout, sequence
from xenvcpu.rules.release import Since

VARIABLE = tuple(f"msr_mtrr_var[{n}]" for n in range(16))
"""Base and mask of eight ranges, in turn."""
FIXED = tuple(f"msr_mtrr_fixed[{n}]" for n in range(11))

LAYOUT = Layout(
    "hvm_hw_mtrr", 240, sequence(" ".join(("msr_pat_cr", *VARIABLE, *FIXED, "msr_mtrr_cap msr_mtrr_def_type")), 8)
)

SAVES_RANGE_0 = Since("4.12")
"""Since then hvm_save_mtrr_msr writes range 0 in place of every other."""

TYPES = frozenset((0, 1, 4, 5, 6))
"""The memory types that an MTRR can have."""
_NO_TYPE = 2


def without_ranges(payload: bytes) -> bytes:
    """A record that changes no variable range when it is loaded.

    mtrr_var_range_msr_set refuses an entry whose low byte is no memory type before it stores it, and hvm_load_mtrr_msr
    goes on with the next one (4.7, 4.11 to 4.21, staging). The rest of the record is as it was.
    """
    return LAYOUT.unpack(payload).with_values(**dict.fromkeys(VARIABLE, _NO_TYPE)).pack()


PAT_RESET = 0x0007040600070406
"""The PAT of a processor after reset (SDM volume 3A, 12.12.4; APM volume 2, 7.8.2)."""
