# SPDX-License-Identifier: MIT
"""Every layout against the sizes and offsets that the headers of Xen's releases give."""

from __future__ import annotations

from typing import Any

import pytest

from tests.xenfacts import of_release
from xenvcpu.abi import cpu_record, domain_info, guest_context, save_stream, vcpu_hvm_context, vcpu_info
from xenvcpu.abi.layout import Layout
from xenvcpu.rules.release import Release

RELEASES = [Release(minor) for minor in range(7, 23)]


def places(layout: Layout) -> dict[str, list[int]]:
    """The fields of a layout as the reference writes them."""
    return {field.name: [field.offset, field.size] for field in layout.fields.values()}


def plain(struct: dict[str, Any], offset: int = 0, prefix: str = "") -> dict[str, list[int]]:
    """A struct of the reference without its size, moved to an offset."""
    return {prefix + name: [place[0] + offset, place[1]] for name, place in struct.items() if not name.startswith("_")}


def test_the_32b_block_lies_as_in_xen(facts: dict[str, Any]) -> None:
    structs = facts["vcpu_hvm_context"]
    expected = plain(structs["vcpu_hvm_context"])
    block = plain(structs["vcpu_hvm_x86_32"], expected.pop("cpu_regs")[0])
    start, size = block.pop("pad2")
    block.update({f"pad2[{n}]": [start + 2 * n, size // 3] for n in range(3)})
    assert {**expected, **block} == places(vcpu_hvm_context.LAYOUT_32B)


def test_the_64b_block_lies_as_in_xen(facts: dict[str, Any]) -> None:
    structs = facts["vcpu_hvm_context"]
    expected = plain(structs["vcpu_hvm_context"])
    block = plain(structs["vcpu_hvm_x86_64"], expected.pop("cpu_regs")[0])
    assert {**expected, **block} == places(vcpu_hvm_context.LAYOUT_64B)


def test_vcpu_hvm_context_has_the_size_and_modes_of_xen(facts: dict[str, Any]) -> None:
    reference = facts["vcpu_hvm_context"]
    assert reference["vcpu_hvm_context"]["_size"] == vcpu_hvm_context.SIZE
    assert reference["modes"] == {mode.name: mode.value for mode in vcpu_hvm_context.Mode}


@pytest.mark.parametrize(("layout", "release"), [(cpu_record.LAYOUT_46, "4.6"), (cpu_record.LAYOUT, "4.7")])
def test_the_cpu_record_lies_as_in_xen(facts: dict[str, Any], layout: Layout, release: str) -> None:
    reference = facts["hvm_hw_cpu"][release]
    expected = plain(reference)
    assert [0, cpu_record.FPU_SIZE] == expected.pop("fpu_regs")
    assert expected == places(layout)
    assert reference["_size"] == layout.size


def test_the_framing_of_the_save_stream_is_that_of_xen(facts: dict[str, Any]) -> None:
    reference = facts["save_stream"]
    for name, layout in (("descriptor", save_stream.DESCRIPTOR_LAYOUT), ("header", save_stream.HEADER_LAYOUT)):
        assert plain(reference[name]) == places(layout)
        assert reference[name]["_size"] == layout.size
    assert (reference["magic"], reference["version"]) == (save_stream.MAGIC, save_stream.VERSION)


def test_the_typecodes_are_those_of_xen(facts: dict[str, Any]) -> None:
    reference = facts["save_stream"]
    assert reference["typecodes"] == {code.name: code.value for code in save_stream.Typecode}
    assert reference["per_vcpu"] == sorted(save_stream.PER_VCPU)


def test_the_guest_context_lies_as_in_xen(facts: dict[str, Any]) -> None:
    reference = facts["vcpu_guest_context"]
    offset = reference["user_regs"][0]
    ours = places(guest_context.LAYOUT)
    registers = {
        name.partition(".")[2]: place[0] - offset for name, place in ours.items() if name.startswith("user_regs.")
    }
    assert reference["user_regs_fields"] == registers
    narrow = {"error_code": 4, "entry_vector": 4, "saved_upcall_mask": 1}
    narrow.update(dict.fromkeys(("cs", *guest_context.SELECTORS), 2))
    assert {name: narrow.get(name, 8) for name in registers} == {
        name: ours[f"user_regs.{name}"][1] for name in registers
    }
    for array in ("ctrlreg", "debugreg"):
        start, size = reference[array]
        assert [[start + 8 * n, 8] for n in range(size // 8)] == [ours[f"{array}[{n}]"] for n in range(8)]
    for name in ("flags", "vm_assist", "fs_base", "gs_base_kernel", "gs_base_user"):
        assert reference[name] == ours[name]
    assert (reference["size"], reference["fpu_ctxt"]) == (guest_context.SIZE, [0, guest_context.FPU_SIZE])


def test_the_flags_of_the_guest_context_are_those_of_xen(facts: dict[str, Any]) -> None:
    assert facts["vcpu_guest_context"]["VGCF"] == {flag.name: flag.value for flag in guest_context.VGCF}


def test_vcpu_information_lies_as_in_xen(facts: dict[str, Any]) -> None:
    reference = facts["getvcpuinfo"]
    assert plain(reference) == places(vcpu_info.LAYOUT)
    assert reference["_size"] == vcpu_info.LAYOUT.size


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_domain_information_lies_as_in_each_release(facts: dict[str, Any], release: Release) -> None:
    reference = of_release(facts["getdomaininfo"], release)
    expected = plain(reference)
    assert [domain_info.HANDLE_OFFSET, domain_info.HANDLE_SIZE] == expected["handle"]
    assert {name: expected[name] for name in domain_info.LAYOUT.fields} == places(domain_info.LAYOUT)
    assert reference["_size"] == domain_info.size(release)


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_the_hap_flag_is_where_each_release_has_it(facts: dict[str, Any], release: Release) -> None:
    bit = of_release(facts["hap_bit"], release)
    flags = 0 if bit is None else 1 << bit
    data = domain_info.LAYOUT.image({"flags": flags}).pack()
    assert (None if bit is None else True) == domain_info.decode(data, release).is_hap
