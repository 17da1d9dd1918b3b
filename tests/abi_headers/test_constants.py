# SPDX-License-Identifier: MIT
"""The numbers that Python has from the Xen headers."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest

from xenvcpu.abi import cpu_record, domain_info, ioreq, save_stream, vcpu_hvm_context, vcpu_info, xen_version
from xenvcpu.abi.guest_context import VGCF
from xenvcpu.ports import guest
from xenvcpu.ports.ioreq import FRAME_IOREQ, RESOURCE_IOREQ_SERVER

from .conftest import Headers

NUMBERS: Dict[str, int] = {
    "HVM_FILE_MAGIC": save_stream.MAGIC,
    "HVM_FILE_VERSION": save_stream.VERSION,
    "CPU_XSAVE_CODE": save_stream.Typecode.CPU_XSAVE,
    "CPU_MSR_CODE": save_stream.Typecode.CPU_MSR,
    "XEN_X86_FPU_INITIALISED": cpu_record.FPU_INITIALISED,
    "XEN_INVALID_MAX_VCPU_ID": domain_info.NO_VCPU,
    "XEN_X86_EMU_LAPIC": domain_info.EMU_LAPIC,
    "sizeof(struct ioreq)": ioreq.SIZE,
    "STATE_IOREQ_NONE": ioreq.STATE_NONE,
    "STATE_IOREQ_READY": ioreq.STATE_READY,
    "STATE_IOREQ_INPROCESS": ioreq.STATE_INPROCESS,
    "STATE_IORESP_READY": ioreq.STATE_ANSWERED,
    "IOREQ_TYPE_PIO": ioreq.TYPE_PIO,
    "IOREQ_TYPE_COPY": ioreq.TYPE_COPY,
    "XENMEM_resource_ioreq_server": RESOURCE_IOREQ_SERVER,
    "XENMEM_resource_ioreq_server_frame_ioreq(0)": FRAME_IOREQ,
    "XENVER_version": xen_version.XENVER_VERSION,
    "XENVER_extraversion": xen_version.XENVER_EXTRAVERSION,
    "sizeof(xen_extraversion_t)": xen_version.EXTRAVERSION_SIZE,
    "__HYPERVISOR_xen_version": guest.HYPERVISOR_XEN_VERSION,
    "__HYPERVISOR_vcpu_op": guest.HYPERVISOR_VCPU_OP,
    **{mode.name: mode for mode in vcpu_hvm_context.Mode},
    **{op.name: op for op in guest.VcpuOp},
    **{f"RUNSTATE_{state.name}": state for state in vcpu_info.Runstate},
    **{f"VGCF_{flag.name}": flag for flag in VGCF},
    **{
        f"HVM_SAVE_CODE({code.name})": code
        for code in save_stream.Typecode if code.name not in ("CPU_XSAVE", "CPU_MSR")
    },
}


def equal(expression: str, number: int) -> str:
    """A line of C that compiles only if an expression has that value."""
    return f'_Static_assert(({expression}) == {int(number)}, "{expression}");'


@pytest.mark.parametrize("expression", NUMBERS)
def test_a_number_is_that_of_the_header(headers: Headers, tmp_path: Path, expression: str) -> None:
    assert headers.compile(tmp_path, [equal(expression, NUMBERS[expression])]) == ""


@pytest.mark.parametrize("other", [1, -1])
def test_a_number_that_is_another_is_noticed(headers: Headers, tmp_path: Path, other: int) -> None:
    said = headers.compile(tmp_path, [equal("CPU_MSR_CODE", NUMBERS["CPU_MSR_CODE"] + other)])
    assert "static assertion failed" in said and "CPU_MSR_CODE" in said


def test_a_name_that_the_header_does_not_have_is_noticed(headers: Headers, tmp_path: Path) -> None:
    assert "XENVER_nothing" in headers.compile(tmp_path, [equal("XENVER_nothing", 0)])
