# SPDX-License-Identifier: MIT
"""Which MSRs a CPU_MSR record may hold, by release, vendor and value."""

from __future__ import annotations

import pytest

from xenvcpu.rules import cpu_msr
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.rules.verdict import Level

INTEL, AMD = Features(vendor="intel"), Features(vendor="amd")
DR0_MASK, DR3_MASK = 0xC0011027, 0xC001101B


def errnos(index: int, value: int, release: str, features: Features = UNKNOWN) -> list[str | None]:
    return [found.errno for found in cpu_msr.refusals([(index, value)], Release.parse(release), features)]


@pytest.mark.parametrize("index, before, since", [
    (0x48, "4.7.4", "4.7.5"), (0x48, "4.8.3", "4.8.4"), (0x48, "4.9.1", "4.9.2"), (0x48, "4.10.0", "4.10.1"),
    (0x140, "4.7", "4.8.4"), (0x140, "4.8.3", "4.9.2"), (0x140, "4.9.1", "4.10.0"),
    (0xC001011F, "4.16", "4.17.0"), (0x6E1, "4.17", "4.18.0"),
])
def test_an_msr_is_loaded_from_a_release_on(index: int, before: str, since: str) -> None:
    assert errnos(index, 1, before) == ["ENXIO"]
    assert errnos(index, 1, since) == []


@pytest.mark.parametrize("release", KNOWN, ids=str)
def test_msrs_with_a_field_in_the_cpu_record_are_never_loaded(release: Release) -> None:
    for index in (0xC0000080, 0xC0000081, 0xC0000082, 0xC0000102, 0xC0000103, 0x174):
        assert len(cpu_msr.refusals([(index, 0)], release)) == 1


@pytest.mark.parametrize("index, features, other, last, since", [
    (0x48, INTEL, AMD, "4.9", "4.10"), (0x140, INTEL, AMD, "4.9", "4.10"), (0xD90, INTEL, AMD, "4.12", "4.13"),
    (0xDA0, INTEL, AMD, "4.12", "4.13"), (DR0_MASK, AMD, INTEL, "4.11", "4.12"), (DR3_MASK, AMD, INTEL, "4.11", "4.12"),
])
def test_once_only_one_vendor_knew_an_msr(
    index: int, features: Features, other: Features, last: str, since: str
) -> None:
    assert errnos(index, 0, last, features) == errnos(index, 0, last) == errnos(index, 0, since, other) == []
    assert errnos(index, 0, last, other) == ["ENXIO"]


@pytest.mark.parametrize("release, errno", [("4.11", "EDOM"), ("4.12", "ENXIO")])
def test_an_address_mask_has_32_bits(release: str, errno: str) -> None:
    assert errnos(DR0_MASK, 0xFFFFFFFF, release) == []
    assert errnos(DR0_MASK, 1 << 32, release) == [errno]


@pytest.mark.parametrize("index, taken, refused, before, since", [
    (0x48, 0x4FF, 0x100, None, "4.7.5"), (0x48, 0x4FF, 1 << 63, None, "4.17"),
    (0x140, 1, 2, "4.9.2", "4.10"), (0x6E1, 0xFFFFFFFF, 1 << 32, None, "4.18"),
    (0xD90, 0x7FFFFFFFF003, 1 << 47, "4.7.0", "4.7.1"), (0xD90, 0xFFFF800000000001, 4, "4.7.0", "4.13"),
    (0xD90, 0, 0x800, "4.7.0", "4.17"),
])
def test_bits_that_no_policy_has_are_refused(
    index: int, taken: int, refused: int, before: str | None, since: str
) -> None:
    assert errnos(index, taken, since) == []
    assert errnos(index, refused, since) == ["ENXIO"]
    assert before is None or errnos(index, refused, before) == []


def test_xss_is_zero_and_up_to_4_12_xen_itself_faults_on_another_value() -> None:
    assert errnos(0xDA0, 8, "4.13") == ["ENXIO"] and errnos(0xDA0, 0, "4.13") == errnos(0xDA0, 8, "4.12") == []
    for release, value, told in (
        # 4.13 refuses it, but not all that was built as 4.13-unstable did.
        ("4.12", 8, [True]), ("4.12", 0, []), ("4.13", 8, [True]), ("4.13", 0, []), ("4.14", 8, []),
    ):
        found = cpu_msr.dangers([(0xDA0, value)], Release.parse(release))
        assert [finding.kills_host for finding in found] == told


MASKS = (0xC0011027, 0xC0011019, 0xC001101A, 0xC001101B)
LOADED = {0x48, 0x140, 0xD90, 0xDA0, 0x6E1, 0xC001011F, *MASKS}


def test_nothing_beside_the_msrs_that_are_loaded_is() -> None:
    for index in {near for loaded in LOADED for near in (loaded - 1, loaded, loaded + 1)}:
        assert errnos(index, 0, "4.22") == ([] if index in LOADED else ["ENXIO"]), hex(index)


@pytest.mark.parametrize("index", MASKS, ids=hex)
def test_each_address_mask_was_svms_and_has_32_bits(index: int) -> None:
    assert (errnos(index, 0, "4.11", INTEL), errnos(index, 0, "4.11", AMD)) == (["ENXIO"], [])
    assert (errnos(index, 1 << 32, "4.11", AMD), errnos(index, 1 << 32, "4.22")) == (["EDOM"], ["ENXIO"])


@pytest.mark.parametrize("release, features, said", [
    ("4.7", INTEL, "Xen 4.7 loads on VT-x; leave it out, it takes 0x48, 0xd90, 0xda0"),
    ("4.7.4", AMD, f"Xen 4.7.4 loads on SVM; leave it out, it takes {', '.join(map(hex, MASKS))}"),
    ("4.16", UNKNOWN, "Xen 4.16 loads; leave it out, it takes 0x48, 0x140, 0xd90, 0xda0, 0xc0011027"),
])
def test_a_refusal_says_which_msrs_are_loaded_there(release: str, features: Features, said: str) -> None:
    (found,) = cpu_msr.refusals([(0x10, 5), (0xD90, 1)] if features is INTEL else [(0x10, 5)], Release.parse(release),
                                features)
    assert said in found.message
    assert (found.level, found.field, found.value) == (Level.REJECTED, "msrs.0x10", 5)
    assert (found.source, found.kills_host, found.console) == ("hvm_load_cpu_msrs", False, None)


def test_only_a_value_of_xss_endangers_the_host() -> None:
    (found,) = cpu_msr.dangers([(0xD90, 8), (0xDA0, 0), (0xDA0, 1)], Release.parse("4.12"))
    assert (found.level, found.field, found.value) == (Level.FATAL, "msrs.0xda0", 1)
    assert found.source == "vmx_load_msr, set_msr_xss" and "or the whole host goes down" in found.message
