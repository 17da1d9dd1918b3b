# SPDX-License-Identifier: MIT
"""A vcpu context as each interface takes it, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.abi.abi_strategies import EXTENDED, blobs, contexts, plain_contexts
from xenvcpu.abi.registers import CR0_ET
from xenvcpu import draft, encoding
from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.presets import PRESETS, flat32, long64
from xenvcpu.context.segment import DescriptorTable, Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.errors import ContextError
from xenvcpu.rules import effect
from xenvcpu.rules.check import check_record
from xenvcpu.rules.release import KNOWN, Release

RELEASES = st.sampled_from(KNOWN)
NOT_A_START = ("tsc", "pending_event", "error_code", "msr_flags", "pad0", "flags")


@given(plain_contexts())
def test_a_context_comes_back_from_the_vcpuop_struct(context: VcpuContext) -> None:
    assert context == encoding.from_vcpu_hvm_context(encoding.to_vcpu_hvm_context(context))


@given(st.sampled_from(Mode), st.binary(min_size=120, max_size=120))
def test_a_vcpuop_struct_comes_back_from_its_context(mode: Mode, block: bytes) -> None:
    image = vcpu_hvm_context.decode(bytes([mode]) + bytes(7) + block)
    masks = {name: 0 if "pad" in name else 0xFFF if name.endswith("_ar") else -1 for name in image.values}
    image = vcpu_hvm_context.layout(mode).image({name: v & masks[name] for name, v in image.values.items()})
    assert image.pack() == encoding.to_vcpu_hvm_context(encoding.from_vcpu_hvm_context(image)).pack()


@given(plain_contexts(), RELEASES)
def test_both_interfaces_leave_the_same_state(context: VcpuContext, release: Release) -> None:
    left = effect.after_initialise(encoding.to_vcpu_hvm_context(context), release)
    loaded = encoding.to_cpu_record(context, release)
    assert left.with_values(cr0=left["cr0"] | CR0_ET) == loaded


@given(contexts())
def test_a_cpu_record_comes_back_from_its_context(context: VcpuContext) -> None:
    record = encoding.to_cpu_record(context)
    assert record == encoding.to_cpu_record(encoding.from_cpu_record(record))


@given(blobs(cpu_record.SIZE))
def test_any_cpu_record_is_shown_as_a_context_or_refused_by_name(data: bytes) -> None:
    try:
        context = encoding.from_cpu_record(cpu_record.decode(data))
    except ContextError as error:
        assert error.field
    else:
        assert int.from_bytes(data[640:648], "little") == context.rip


@given(contexts())
def test_what_vcpuop_cannot_carry_is_named_or_there_is_nothing(context: VcpuContext) -> None:
    extended = list(encoding.extended_fields(context))
    if extended:
        with pytest.raises(ContextError) as caught:
            encoding.to_vcpu_hvm_context(context)
        assert (extended[0][0], "extended-field") == (caught.value.field, caught.value.rule)
    else:
        encoding.to_vcpu_hvm_context(context)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_can_be_carried_by_both_interfaces(name: str) -> None:
    context = PRESETS[name]()
    assert context == encoding.from_vcpu_hvm_context(encoding.to_vcpu_hvm_context(context))
    assert context.rip == encoding.to_cpu_record(context)["rip"]


def test_an_extended_field_that_asks_for_what_is_left_anyway_is_not_extended() -> None:
    context = long64().replace(r8=0, cs=Segment(0, 0xFFFFFFFF, 0xA9B), dr7=0x400)
    assert [] == list(encoding.extended_fields(context))


@pytest.mark.parametrize(("changes", "field"), [
    ({"r8": 1}, "r8"), ({"cs": Segment(0, 0xFFFFFFFF, 0xC9B, 8)}, "cs_sel"), ({"msrs": ((0x10A, 1),)}, "msrs.0x10a"),
    ({"fpu_regs": bytes(512)}, "fpu_regs"), ({"fs": Segment(0x1000, 0xFFFFFFFF, 0xC93)}, "fs_base"),
])
def test_a_field_that_only_dom0_carries_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ContextError) as caught:
        encoding.to_vcpu_hvm_context(flat32().replace(**changes))
    assert (field, "extended-field") == (caught.value.field, caught.value.rule)


def test_the_record_has_lma_where_the_struct_has_only_lme() -> None:
    context = long64().replace(efer=0x100)
    assert 0x500 == encoding.to_cpu_record(context)["msr_efer"]


def test_the_record_of_a_context_with_an_fpu_image_says_so() -> None:
    image = bytes(range(256)) * 2
    record = encoding.to_cpu_record(flat32().replace(fpu_regs=image))
    assert (1, image) == (record["flags"], record.rest)
    assert 0 == encoding.to_cpu_record(flat32())["flags"]


@pytest.mark.parametrize("name", ["pad", "pad1", "pad2[0]", "pad2[2]"])
def test_padding_that_is_not_zero_is_refused_by_name(name: str) -> None:
    with pytest.raises(ContextError) as caught:
        encoding.from_vcpu_hvm_context(vcpu_hvm_context.LAYOUT_32B.image({name: 1}))
    assert (name, "pad-not-zero") == (caught.value.field, caught.value.rule)


def test_an_unknown_mode_is_refused_by_name() -> None:
    with pytest.raises(ContextError) as caught:
        encoding.from_vcpu_hvm_context(vcpu_hvm_context.LAYOUT_32B.image({"mode": 2}))
    assert ("mode", 2) == (caught.value.field, caught.value.value)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_saved_preset_is_recognised(name: str) -> None:
    """As `show` prints a vcpu just after its start."""
    context = PRESETS[name]()
    record = encoding.to_cpu_record(context)
    found = encoding.from_cpu_record(record)
    same = ("rip", "rsp", "cr0", "cr3", "cr4", "r8", "gdtr", "fs", "fpu_regs", "msrs")
    assert [getattr(context, field) for field in same] == [getattr(found, field) for field in same]


def test_the_type_of_an_ldt_stays_as_it_was_given() -> None:
    record = encoding.to_cpu_record(flat32(0x1000, 0x8000).replace(ldtr=Segment(0x3000, 0xFFFF, 0x82, 0x28)))
    assert record["ldtr_arbytes"] == 0x82
    assert check_record(record, KNOWN[-1]).verdict == "accepted"


@pytest.mark.parametrize(("changes", "mode"), [
    ({}, Mode.VCPU_HVM_MODE_32B), ({"rip": 0xFFFFFFFF}, Mode.VCPU_HVM_MODE_32B),
    ({"rip": 1 << 32}, Mode.VCPU_HVM_MODE_64B), ({"rax": 1 << 63}, Mode.VCPU_HVM_MODE_64B),
    ({"cr3": 1 << 32}, Mode.VCPU_HVM_MODE_64B), ({"msr_efer": 1 << 32}, Mode.VCPU_HVM_MODE_32B),
    ({"msr_efer": 0x500}, Mode.VCPU_HVM_MODE_32B), ({"cs_arbytes": 0xA9B}, Mode.VCPU_HVM_MODE_32B),
    ({"msr_efer": 0x500, "cs_arbytes": 0xA9B}, Mode.VCPU_HVM_MODE_64B),
])
def test_a_record_needs_64b_mode_for_64_bit_code_or_values_alone(changes: dict[str, int], mode: Mode) -> None:
    record = encoding.to_cpu_record(flat32(0x1000, 0x8000)).with_values(**changes)
    assert mode is encoding.from_cpu_record(record).mode


@pytest.mark.parametrize("name", EXTENDED)
def test_an_extended_register_is_read_from_the_record_where_it_is_not_as_it_is_left(name: str) -> None:
    record = encoding.to_cpu_record(flat32())
    assert getattr(encoding.from_cpu_record(record), name) is None
    assert getattr(encoding.from_cpu_record(record.with_values(**{name: 0x12345})), name) == 0x12345


@pytest.mark.parametrize("name", ["fs", "gs", "ldtr"])
def test_a_segment_that_only_dom0_carries_is_read_with_all_its_parts(name: str) -> None:
    segment = Segment(0x1000, 0xFFFF, 0x82 if name == "ldtr" else 0x93, 0x28)
    record = encoding.to_cpu_record(flat32().replace(**{name: segment}))
    parts = [record[f"{name}_{part}"] for part in ("base", "limit", "arbytes", "sel")]
    assert [segment.base, segment.limit, segment.word, segment.selector] == parts
    assert getattr(encoding.from_cpu_record(record), name) == segment
    assert getattr(encoding.from_cpu_record(encoding.to_cpu_record(flat32())), name) is None


def test_a_selector_is_read_in_either_mode() -> None:
    for context in (flat32(), long64()):
        record = encoding.to_cpu_record(context).with_values(ds_sel=0x28)
        found = encoding.from_cpu_record(record).ds
        assert found is not None and found.selector == 0x28
    assert encoding.from_cpu_record(encoding.to_cpu_record(long64())).ds is None


@pytest.mark.parametrize("name", ["gdtr", "idtr"])
def test_a_descriptor_table_is_carried_with_base_and_limit(name: str) -> None:
    table = DescriptorTable(0x2000, 0x17)
    record = encoding.to_cpu_record(flat32().replace(**{name: table}))
    assert (0x2000, 0x17) == (record[f"{name}_base"], record[f"{name}_limit"])
    assert table == getattr(encoding.from_cpu_record(record), name)
    assert getattr(encoding.from_cpu_record(encoding.to_cpu_record(flat32())), name) is None


def test_an_fpu_image_is_read_where_the_record_says_so_and_always_from_4_6() -> None:
    image = bytes(range(256)) * 2
    record = encoding.to_cpu_record(flat32().replace(fpu_regs=image))
    assert image == encoding.from_cpu_record(record).fpu_regs
    assert encoding.from_cpu_record(record.with_values(flags=0)).fpu_regs is None
    assert image == encoding.from_cpu_record(cpu_record.decode(record.pack()[:1024])).fpu_regs


def test_a_record_is_made_as_its_release_keeps_segments() -> None:
    """G as given up to 4.8, by the limit from 4.9 on."""
    context = flat32().replace(fs=Segment(0, 0xFFFF, 0xC93))
    found = [encoding.to_cpu_record(context, Release(minor))["fs_arbytes"] for minor in (8, 9)]
    assert found == [effect.loaded_ar(0xC93, 0xFFFF, Release(minor)) for minor in (8, 9)]
    assert found[0] != found[1]


def test_an_image_of_any_struct_is_read_by_its_layout() -> None:
    context = flat32(0x1000, 0x8000)
    images = (encoding.to_vcpu_hvm_context(context), encoding.to_cpu_record(context), draft.from_context(context))
    assert [(0x1000, 0x8000)] * 3 == [(found.rip, found.rsp) for found in map(encoding.as_context, images)]


def test_attributes_of_more_than_12_bits_are_refused_by_name() -> None:
    image = encoding.to_vcpu_hvm_context(flat32()).with_values(ds_ar=0x1C93)
    with pytest.raises(ContextError, match="is not Xen's 12-bit word") as caught:
        encoding.from_vcpu_hvm_context(image)
    assert ("ds_ar", 0x1C93, "ar-reserved-bits") == (caught.value.field, caught.value.value, caught.value.rule)
