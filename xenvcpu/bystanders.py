# SPDX-License-Identifier: MIT
"""What a load may do to the vcpus that it only carries along, and that nothing can help: warnings about them."""

from __future__ import annotations

from typing import Iterator, Tuple

from xenvcpu.abi import cpu_record
from xenvcpu.rules.verdict import Finding, Level
from xenvcpu.savedstate import SavedState

FPU_WITHOUT_XSAVE = "fpu-without-xsave"


def warnings(found: SavedState, has_xsave: bool) -> Iterator[Tuple[int, Finding]]:
    """A warning for each vcpu that is online, by vcpuid, whose FPU image Xen may have saved out of date.

    Xen saves the FPU with XSAVEOPT, which leaves out what is as after a reset, and copies the image into the CPU record
    without regard to that (hvm_save_cpu_ctxt). Where there is a CPU_XSAVE record, it is loaded behind and is exact.

    Args:
        found: The domain.
        has_xsave: Whether the processor has XSAVE.
    """
    for vcpuid in found.online if has_xsave else ():
        flags = found.record(vcpuid).values.get("flags", cpu_record.FPU_INITIALISED)
        if vcpuid not in found.xsave and flags & cpu_record.FPU_INITIALISED:
            yield vcpuid, Finding(
                FPU_WITHOUT_XSAVE, Level.WARNING, "flags", flags,
                f"vcpu {vcpuid} is online, uses the FPU and has not enabled XSAVE: on this processor Xen may have saved"
                " old x87 control words of it, and a load brings them back; start vcpus before it uses the FPU",
                source="hvm_save_cpu_ctxt, vcpu_setup_fpu",
            )
