# SPDX-License-Identifier: MIT
"""The layouts in `xenvcpu.abi`, each size and offset judged by the compiler that reads the Xen headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

from xenvcpu.abi import (
    cpu_msr, cpu_record, domain_info, guest_context, mtrr, save_stream, vcpu_hvm_context, vcpu_info, xsave,
)
from xenvcpu.abi.layout import Layout

from .conftest import Headers


def in_block(block: str) -> Callable[[str], str]:
    """The C path of a field of `struct vcpu_hvm_context`, whose registers are in a union."""
    return lambda name: name if name in ("mode", "pad") else f"cpu_regs.{block}.{name}"


def same(name: str) -> str:
    """The C path of a field that has its path as its name."""
    return name


Case = Tuple[Layout, Callable[[str], str], Optional[int]]
CASES: Dict[str, Case] = {
    "vcpu_hvm_context-32B": (vcpu_hvm_context.LAYOUT_32B, in_block("x86_32"), vcpu_hvm_context.SIZE),
    "vcpu_hvm_context-64B": (vcpu_hvm_context.LAYOUT_64B, in_block("x86_64"), vcpu_hvm_context.SIZE),
    "hvm_hw_cpu": (cpu_record.LAYOUT, same, cpu_record.SIZE),
    "hvm_save_descriptor": (save_stream.DESCRIPTOR_LAYOUT, same, 8),
    "hvm_save_header": (save_stream.HEADER_LAYOUT, same, 24),
    "hvm_msr": (cpu_msr.HEAD_LAYOUT, same, None),
    "hvm_one_msr": (cpu_msr.ENTRY_LAYOUT, same, 16),
    "hvm_hw_cpu_xsave": (xsave.layout(xsave.SIZE_MIN), same, None),
    "hvm_hw_mtrr": (mtrr.LAYOUT, same, 240),
    "vcpu_guest_context": (guest_context.LAYOUT, same, guest_context.SIZE),
    "xen_domctl_getdomaininfo": (domain_info.LAYOUT, same, None),
    "xen_domctl_getvcpuinfo": (vcpu_info.LAYOUT, same, 24),
    "vcpu_runstate_info": (vcpu_info.RUNSTATE_LAYOUT, same, 48),
}


def asserts(layout: Layout, path: Callable[[str], str], size: Optional[int]) -> List[str]:
    """C lines that compile only if the layout is right. `size` is None for a struct that grows."""
    struct = f"struct {layout.name}"
    lines = [] if size is None else [f'_Static_assert(sizeof({struct}) == {layout.size}, "size");']
    for name, offset, length in layout.fields.values():
        field = path(name)
        lines += [
            f'_Static_assert(offsetof({struct}, {field}) == {offset}, "offset of {name}");',
            f'_Static_assert(sizeof((({struct} *)0)->{field}) == {length}, "size of {name}");',
        ]
    return lines


@pytest.mark.parametrize("name", CASES)
def test_a_layout_is_that_of_the_header(headers: Headers, tmp_path: Path, name: str) -> None:
    assert headers.compile(tmp_path, asserts(*CASES[name])) == ""


@pytest.mark.parametrize(("change", "size", "said"), [
    ({"offset": 648}, None, "offset of rip"), ({"size": 4}, None, "size of rip"), ({"name": "eip"}, None, "eip"),
    ({}, cpu_record.SIZE, ""), ({}, 1024, 'failed: \"size\"'),
])
def test_a_field_or_size_that_is_another_is_noticed(
    headers: Headers, tmp_path: Path, change: Dict[str, Any], size: Optional[int], said: str
) -> None:
    field = cpu_record.LAYOUT.fields["rip"]._replace(**change)
    complaint = headers.compile(tmp_path, asserts(Layout("hvm_hw_cpu", size or 1032, [field]), same, size))
    assert said in complaint and bool(said) is bool(complaint)


def test_the_domain_information_has_the_size_of_its_release(headers: Headers, tmp_path: Path) -> None:
    size = domain_info.size(headers.release)
    assert headers.compile(tmp_path, [f'_Static_assert(sizeof(xc_domaininfo_t) == {size}, "size");']) == ""


def test_what_is_emulated_stands_where_it_is_read(headers: Headers, tmp_path: Path) -> None:
    offset = domain_info.emulation_offset(headers.release)
    line = f'_Static_assert(offsetof(xc_domaininfo_t, arch_config.emulation_flags) == {offset}, "offset");'
    assert headers.compile(tmp_path, [line]) == ""


def test_the_bit_field_of_an_access_is_the_byte_before_its_type(headers: Headers, tmp_path: Path) -> None:
    """C tells no offset of a bit field, but those of its neighbours; and bytes that stand for fields, when run."""
    lines = [
        '_Static_assert(offsetof(struct ioreq, type) == 31, "type");',
        '_Static_assert(offsetof(struct ioreq, vp_eport) == 24 && sizeof(((struct ioreq *)0)->_pad0) == 2, "pad");',
        '_Static_assert(offsetof(struct ioreq, _pad0) == 28, "so that the bit field is byte 30");',
    ]
    assert headers.compile(tmp_path, lines) == ""


def test_the_guest_context_is_the_largest_of_the_union(headers: Headers, tmp_path: Path) -> None:
    line = f'_Static_assert(sizeof(vcpu_guest_context_any_t) == {guest_context.SIZE}, "size");'
    assert headers.compile(tmp_path, [line]) == ""
