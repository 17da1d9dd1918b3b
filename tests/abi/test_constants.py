# SPDX-License-Identifier: MIT
"""The numbers of the codecs, against Xen's headers and the manuals: no round trip notices one that is another."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from xenvcpu.abi import cpu_record, domain_info, ioreq, mtrr, registers, save_stream, vcpu_info, xen_version, xsave

# By the SDM: volume 3A, 2.5; volume 1, 3.4.3; and by Xen's word of attributes, a descriptor's without the limit.
BITS: Dict[str, int] = {
    "CR0_PE": 0, "CR0_ET": 4, "CR0_WP": 16, "CR0_NW": 29, "CR0_CD": 30, "CR0_PG": 31, "CR4_LA57": 12,
    "EFLAGS_MBS": 1, "EFLAGS_IF": 9, "EFLAGS_VM": 17, "AR_S": 4, "AR_P": 7, "AR_L": 9, "AR_DB": 10, "AR_G": 11,
}
NUMBERS: Dict[str, Any] = {
    "XENVER_version": (xen_version.XENVER_VERSION, 0), "XENVER_extraversion": (xen_version.XENVER_EXTRAVERSION, 1),
    "sizeof(xen_extraversion_t)": (xen_version.EXTRAVERSION_SIZE, 16),
    "the typecode of CPU": (cpu_record.TYPECODE, 2), "XEN_X86_FPU_INITIALISED": (cpu_record.FPU_INITIALISED, 1),
    "XEN_INVALID_MAX_VCPU_ID": (domain_info.NO_VCPU, 0xFFFFFFFF), "XEN_X86_EMU_LAPIC": (domain_info.EMU_LAPIC, 1),
    "SHUTDOWN_crash": (domain_info.SHUTDOWN_CRASH, 3),
    "MAX_NR_IOREQ_SERVERS": (ioreq.SERVERS, 8), "IOREQ_TYPE_PIO": (ioreq.TYPE_PIO, 0),
    "IOREQ_TYPE_COPY": (ioreq.TYPE_COPY, 1),
    "STATE_IO*": ((ioreq.STATE_NONE, ioreq.STATE_READY, ioreq.STATE_INPROCESS, ioreq.STATE_ANSWERED), (0, 1, 2, 3)),
    "RUNSTATE_*": (
        {state.name: state.value for state in vcpu_info.Runstate},
        {"running": 0, "runnable": 1, "blocked": 2, "offline": 3},
    ),
    "the PAT after reset": (mtrr.PAT_RESET, 0x0007040600070406), "sizeof(struct hvm_hw_mtrr)": (mtrr.LAYOUT.size, 240),
    "the registers of an MTRR record": (len(mtrr.LAYOUT.fields), 1 + 2 * 8 + 11 + 2),
    "END as Xen writes it": (save_stream.join([save_stream.END]), bytes(8)),
    "where the XSAVE area begins": (xsave.AREA_OFFSET, 24),
    "where the XSAVE header begins": (xsave.XSAVE_HEADER_OFFSET, 536),
    "the least of a CPU_XSAVE record": (xsave.SIZE_MIN, 600),
    "XSTATE_*": ((xsave.XSTATE_FP, xsave.XSTATE_SSE, xsave.XSTATE_YMM, xsave.XSTATE_LEGACY), (1, 2, 4, 3)),
}


@pytest.mark.parametrize("name", [name for name in vars(registers) if name.isupper()])
def test_a_bit_is_where_the_manuals_have_it(facts: Dict[str, Any], name: str) -> None:
    known = {f"CR4_{bit[0]}": bit[1] for bit in facts["cr4_bits"]}
    known.update({f"EFER_{bit[0]}": bit[1] for bit in facts["efer_bits"]})
    assert getattr(registers, name) == 1 << {**known, **BITS}[name]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_that_of_xen_or_of_the_manuals(name: str) -> None:
    ours, theirs = NUMBERS[name]
    assert ours == theirs


def test_the_components_of_xcr0_are_those_of_the_manual() -> None:
    """SDM volume 1, 13.1."""
    low = "x87 sse ymm bndregs bndcsr opmask zmm hi_zmm 8 pkru".split()
    high = [*map(str, range(10, 17)), "tilecfg", "tiledata", "19"]
    assert [*low, *high] == list(xsave.components((1 << 20) - 1))
