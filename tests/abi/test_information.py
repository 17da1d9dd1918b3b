# SPDX-License-Identifier: MIT
"""What Xen says about a domain and a vcpu, in the structs of each release."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.abi.abi_strategies import blobs
from xenvcpu.abi import domain_info, guest_context, vcpu_info
from xenvcpu.abi.domain_info import NO_VCPU, DomainInfo
from xenvcpu.abi.layout import Field, Layout, sequence
from xenvcpu.errors import FormatError
from xenvcpu.rules.release import Release

RELEASES = st.sampled_from([Release(minor) for minor in range(7, 24)])
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
RUNNING = bytes.fromhex(
    "0500 0000 2a01ffff 0000010000000000 0000010000000000" + "00" * 32 + "00ca9a3b00000000 03000000 03000000 00000000"
    "00112233445566778899aabbccddeeff 01000000" + "00" * 16
)


@given(RELEASES, U32, U32, U64, st.uuids(), st.sampled_from([None, 0, 1, 3, 255]), st.integers(0, 63), st.booleans())
def test_a_domain_is_read_as_it_was_written(
    release: Release, online: int, highest: int, time: int, handle: uuid.UUID, reason: int | None, flags: int,
    hap: bool,
) -> None:
    emulation = highest if release.minor >= 11 else 0
    info = DomainInfo(
        7, handle, is_hvm=bool(flags & 1), is_dying=bool(flags & 2), is_paused=bool(flags & 4),
        is_blocked=bool(flags & 8), is_running=bool(flags & 16), is_shutdown=reason is not None,
        is_hap=hap if release.minor >= 8 else None, shutdown_reason=reason, nr_online_vcpus=online,
        max_vcpu_id=highest, cpu_time=time, tot_pages=time, cpupool=online, other_flags=(flags & 32) << 1,
        emulation=emulation,
    )
    data = domain_info.encode(info, release)
    assert info == domain_info.decode(data, release)
    assert domain_info.size(release) == len(data)


def test_a_running_domain_of_4_17_is_read_by_name() -> None:
    expected = DomainInfo(
        5, uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"), is_hvm=True, is_paused=True, is_running=True, is_hap=True,
        nr_online_vcpus=3, max_vcpu_id=3, cpu_time=10**9, tot_pages=0x10000, cpupool=1,
    )
    assert expected == domain_info.decode(RUNNING, Release(17))


@pytest.mark.parametrize(("release", "offset"), [
    (Release(14), 96), (Release(15), 96), (Release(16), 104), (Release(22), 104),
])
def test_what_is_emulated_stands_at_the_end(release: Release, offset: int) -> None:
    data = bytearray(domain_info.size(release))
    data[offset : offset + 4] = (0x3FF).to_bytes(4, "little")
    info = domain_info.decode(bytes(data), release)
    assert (info.emulation, info.has_device_model) == (0x3FF, True)
    assert domain_info.encode(info, release)[96:] == bytes(data[96:])


@pytest.mark.parametrize("emulation", [0, domain_info.EMU_LAPIC])
def test_a_domain_with_no_more_than_a_local_apic_has_no_device_model(emulation: int) -> None:
    assert not DomainInfo(1, emulation=emulation).has_device_model


def test_a_release_that_does_not_say_what_is_emulated_shows_nothing() -> None:
    info = DomainInfo(1, emulation=0x3FF)
    assert 0 == domain_info.decode(domain_info.encode(info, Release(9)), Release(9)).emulation


def test_flags_without_a_name_are_kept() -> None:
    data = domain_info.LAYOUT.image({"flags": 1 << 15 | 1 << 6}).pack()
    assert 1 << 15 | 1 << 6 == domain_info.decode(data, Release(22)).other_flags


def test_a_domain_that_runs_has_no_shutdown_reason() -> None:
    """Xen keeps the code as all ones until the domain shuts down."""
    assert domain_info.decode(RUNNING, Release(17)).shutdown_reason is None


def test_a_crashed_domain_has_its_reason() -> None:
    data = domain_info.LAYOUT.image({"flags": 3 << 16 | 1 << 2}).pack()
    assert 3 == domain_info.decode(data, Release(22)).shutdown_reason


def test_a_domain_of_which_nothing_is_said_is_written_as_one_that_runs_nothing() -> None:
    expected = bytes.fromhex("0700 0000 0000ffff").ljust(68, b"\0") + bytes.fromhex("ffffffff")
    assert expected.ljust(112, b"\0") == domain_info.encode(DomainInfo(7), Release(17))


def test_a_shutdown_without_a_reason_is_written_as_a_poweroff() -> None:
    data = domain_info.encode(DomainInfo(1, is_shutdown=True), Release(17))
    assert 0 == domain_info.decode(data, Release(17)).shutdown_reason


@pytest.mark.parametrize(("info", "ended"), [
    *((DomainInfo(1, is_shutdown=True, shutdown_reason=code), name) for code, name in enumerate(
        ("poweroff", "reboot", "suspend", "crash", "watchdog", "soft_reset", "shutdown 6"))),
    (DomainInfo(1, is_shutdown=True, is_dying=True, shutdown_reason=1), "reboot"),
    (DomainInfo(1, is_dying=True), "dying"), (DomainInfo(1), None), (DomainInfo(1, shutdown_reason=3), None),
])
def test_a_domain_has_ended_by_the_name_that_libxl_has_for_it(info: DomainInfo, ended: str | None) -> None:
    assert (info.ended, info.has_crashed) == (ended, ended == "crash")


@pytest.mark.parametrize(("size", "emulation"), [(96, 0), (107, 0), (108, 0x3FF), (120, 0x3FF)])
def test_what_is_emulated_is_read_where_the_bytes_reach_so_far(size: int, emulation: int) -> None:
    data = domain_info.encode(DomainInfo(1, emulation=0x3FF), Release(17)).ljust(size, b"\xff")[:size]
    assert emulation == domain_info.decode(data, Release(17)).emulation


@pytest.mark.parametrize("bit", [0, 1, 2, 3, 4, 5, 8])
def test_a_flag_with_a_name_is_not_among_the_others(bit: int) -> None:
    assert 0 == domain_info.decode(domain_info.LAYOUT.image({"flags": 1 << bit}).pack(), Release(17)).other_flags


@pytest.mark.parametrize(("highest", "count"), [(NO_VCPU, 0), (0, 1), (127, 128)])
def test_the_number_of_vcpus_follows_from_the_highest(highest: int, count: int) -> None:
    assert count == DomainInfo(1, max_vcpu_id=highest).vcpu_count


@pytest.mark.parametrize("size", range(0, 96, 19))
def test_a_short_struct_is_a_format_error(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        domain_info.decode(bytes(size), Release(17))
    assert size == caught.value.offset


def test_the_first_4_10_had_the_smaller_struct() -> None:
    assert [96, 104] == [domain_info.size(Release(10, point)) for point in (0, 1)]


@given(blobs(guest_context.SIZE))
def test_a_guest_context_comes_back_byte_for_byte(data: bytes) -> None:
    assert data == guest_context.decode(data).pack()


def test_the_fpu_image_is_the_first_of_what_a_guest_context_does_not_name() -> None:
    data = bytes(range(256)) * 2 + bytes(guest_context.SIZE - 512)
    assert data[:512] == guest_context.decode(data).rest[: guest_context.FPU_SIZE]


@pytest.mark.parametrize(("layout", "size", "first_time"), [
    (vcpu_info.RUNSTATE_LAYOUT, 48, 16), (vcpu_info.RUNSTATE_LAYOUT_32, 44, 12),
])
def test_runstate_information_has_the_alignment_of_its_caller(layout: Layout, size: int, first_time: int) -> None:
    assert (size, first_time) == (layout.size, layout.fields["time[0]"].offset)
    times = sequence("state_entry_time time[0] time[1] time[2] time[3]", 8, first_time - 8)
    assert [Field("state", 0, 4), *times] == list(layout.fields.values())
