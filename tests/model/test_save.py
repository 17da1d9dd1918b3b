# SPDX-License-Identifier: MIT
"""Save streams: what is in them, how long they are, and who may ask for one record."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model.machine import Machine, context, cpu, refused
from tests.xenfacts import of_release
from xenvcpu.abi import cpu_record, save_stream
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.model import save
from xenvcpu.model.domain import Kind
from xenvcpu.model.records import kinds
from xenvcpu.model.vcpuop import Op
from xenvcpu.rules.release import Release

RELEASES = tuple(f"4.{minor}" for minor in range(7, 23))


@pytest.mark.parametrize("release", RELEASES)
def test_record_lengths_are_those_of_the_facts(release: str, facts: dict[str, Any]) -> None:
    xen = Release.parse(release)
    got = {kind.typecode.name: kind.length for kind in kinds(xen).values() if kind.length is not None}
    assert {**got, "END": 0, "HEADER": 24} == of_release(facts["record_lengths"], xen)


def test_the_types_that_are_filled_up_are_those_of_the_facts(facts: dict[str, Any]) -> None:
    extended = {kind.typecode.name for kind in kinds(Release.parse("4.17")).values() if kind.is_extended}
    assert extended == set(facts["records_filled_up"])


@pytest.mark.parametrize("release", ["4.19", "4.20"])
def test_the_types_with_a_check_are_those_of_the_facts(release: str, facts: dict[str, Any]) -> None:
    xen = Release.parse(release)
    checked = {kind.typecode.name for kind in kinds(xen).values() if kind.is_checked}
    assert checked == set(of_release(facts["records_checked"], xen))


@pytest.mark.parametrize(
    ("release", "vcpus", "online", "size"),
    [
        ("4.14.6", 4, 1, 6608), ("4.17.7", 4, 1, 6608), ("4.20.4", 4, 1, 6640), ("4.17.7", 32, 1, 44912),
        ("4.17.7", 32, 32, 77152), ("4.17.7", 128, 1, 176240), ("4.17.7", 128, 128, 308320),
    ],
)
def test_a_stream_is_as_long_as_real_xen_was_seen_to_make_it(release: str, vcpus: int, online: int, size: int) -> None:
    machine = Machine(release, vcpus, online, vendor="amd", xfeature_mask=0)
    assert len(save_stream.join(machine.save())) == size


def test_a_stream_of_an_hvm_guest_is_as_long_as_real_xen_was_seen_to_make_it() -> None:
    machine = Machine("4.17.7", kind=Kind.HVM, vendor="amd", xfeature_mask=0)
    assert len(save_stream.join(machine.save())) == 8216


@pytest.mark.parametrize("release", RELEASES)
def test_the_types_ascend_between_header_and_end(release: str) -> None:
    codes = [record.typecode for record in Machine(release, kind=Kind.HVM).save()]
    assert (codes[0], codes[-1]) == (Typecode.HEADER, Typecode.END)
    assert codes[1:-1] == sorted(codes[1:-1])


def test_a_vcpu_that_is_down_has_all_records_but_cpu() -> None:
    machine = Machine()
    codes = {record.typecode for record in machine.save() if record.instance == 3}
    assert codes == {
        Typecode.LAPIC, Typecode.LAPIC_REGS, Typecode.MTRR, Typecode.VMCE_VCPU, Typecode.TSC_ADJUST,
    }


def test_a_vcpu_that_never_used_xsave_has_no_such_record() -> None:
    assert list(Machine().saved(Typecode.CPU_XSAVE)) == [0]


def test_a_null_buffer_asks_for_the_worst_case() -> None:
    machine = Machine()
    _, size = machine.domctl.gethvmcontext(1, None)
    assert size == save.worst_size(machine.host, machine.domain) > len(save_stream.join(machine.save()))


def test_a_buffer_below_the_worst_case_is_enospc_though_the_stream_would_fit() -> None:
    machine = Machine()
    _, size = machine.domctl.gethvmcontext(1, None)
    with refused("ENOSPC"):
        machine.domctl.gethvmcontext(1, size - 1)


def test_the_worst_case_does_not_depend_on_what_is_online() -> None:
    few, many = Machine(online=1), Machine(online=4)
    assert save.worst_size(few.host, few.domain) == save.worst_size(many.host, many.domain)


def test_all_cpu_records_of_a_save_tell_the_tsc_of_one_moment() -> None:
    machine = Machine(online=3)
    images = [cpu_record.decode(payload) for payload in machine.saved(Typecode.CPU).values()]
    assert len({image["tsc"] for image in images}) == 1


def test_a_later_save_tells_a_later_tsc() -> None:
    machine = Machine()
    first, second = (cpu_record.decode(machine.saved(Typecode.CPU)[0])["tsc"] for _ in range(2))
    assert second > first


def test_a_dying_domain_cannot_be_saved() -> None:
    machine = Machine()
    machine.domain.is_dying = True
    with refused("EINVAL"):
        machine.save()


@pytest.mark.parametrize(("release", "is_valid"), [("4.21", False), ("4.22", True)])
def test_from_4_22_every_fpu_image_is_marked_as_valid(release: str, is_valid: bool) -> None:
    machine = Machine(release)
    machine.initialise(1, context())
    machine.op(Op.up, 1)
    image = cpu_record.decode(machine.saved(Typecode.CPU)[1])
    assert bool(image["flags"]) is is_valid
    assert image.rest[:2] == (b"\x40\0" if is_valid else b"\0\0")


class TestOneRecord:
    """XEN_DOMCTL_gethvmcontext_partial."""

    def test_is_the_payload_alone(self) -> None:
        machine = Machine()
        payload, length = machine.domctl.gethvmcontext_partial(1, Typecode.CPU, 0, 1032)
        assert length == len(payload) == cpu_record.SIZE

    @pytest.mark.parametrize("typecode", [0, 1, 21, 99])
    def test_header_end_and_unknown_types_cannot_be_had(self, typecode: int) -> None:
        with refused("EINVAL"):
            Machine().domctl.gethvmcontext_partial(1, typecode, 0, 4096)

    @pytest.mark.parametrize("release", RELEASES)
    def test_of_an_unknown_vcpu_is_enoent(self, release: str) -> None:
        with refused("ENOENT"):
            Machine(release).domctl.gethvmcontext_partial(1, Typecode.CPU, 4, 1032)

    @pytest.mark.parametrize(
        ("release", "answer"), [("4.7", "ENOENT"), ("4.11", "ENOENT"), ("4.12", "ENODATA"), ("4.22", "ENODATA")]
    )
    def test_of_a_vcpu_that_is_down_is_enodata_from_4_12(self, release: str, answer: str) -> None:
        with refused(answer):
            Machine(release).domctl.gethvmcontext_partial(1, Typecode.CPU, 1, 1032)

    def test_in_too_small_a_buffer_is_enobufs_from_4_10(self) -> None:
        with refused("ENOBUFS"):
            Machine("4.10").domctl.gethvmcontext_partial(1, Typecode.CPU, 0, 1031)
        payload, _ = Machine("4.9").domctl.gethvmcontext_partial(1, Typecode.CPU, 0, 1031)
        assert len(payload) == 1032

    def test_only_its_length_can_be_asked_for(self) -> None:
        assert Machine().domctl.gethvmcontext_partial(1, Typecode.CPU, 0, None) == (b"", 1032)

    def test_of_a_domain_needs_its_instance(self) -> None:
        machine = Machine(kind=Kind.HVM)
        assert machine.domctl.gethvmcontext_partial(1, Typecode.PIC, 1, 8)[1] == 8
        with refused("ENOENT"):
            machine.domctl.gethvmcontext_partial(1, Typecode.PIC, 2, 8)


def test_what_was_saved_loads_again_and_changes_nothing_but_time() -> None:
    machine = Machine(online=3)
    before = [(vcpu.state, vcpu.is_down, vcpu.is_initialised, vcpu.xsave) for vcpu in machine.domain.vcpus]
    machine.load_bytes(save_stream.join(machine.save()))
    assert [(vcpu.state, vcpu.is_down, vcpu.is_initialised, vcpu.xsave) for vcpu in machine.domain.vcpus] == before


def test_a_started_vcpu_is_saved_as_it_was_loaded() -> None:
    machine = Machine("4.22")
    wanted = cpu(1, 0x4000, rflags=2, flags=1)
    machine.load(cpu(0), wanted)
    got = cpu_record.decode(machine.saved(Typecode.CPU)[1])
    assert got.with_values(tsc=0) == cpu_record.decode(wanted.payload)
