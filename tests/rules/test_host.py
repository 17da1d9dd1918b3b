# SPDX-License-Identifier: MIT
"""Values that Xen itself faults on: the whole host goes down, not the domain alone."""

from __future__ import annotations

import pytest

from xenvcpu import encoding
from xenvcpu.context import presets
from xenvcpu.rules.check import check_record
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.verdict import Finding

RECORD = encoding.to_cpu_record(presets.long64(0x100000, 0x8000, 0x1000))
BIG = 1 << 47


def _found(field: str, value: int, release: str = "4.17", features: Features = UNKNOWN) -> list[Finding]:
    findings = check_record(RECORD.with_values(**{field: value}), Release.parse(release), features).findings
    return [finding for finding in findings if finding.field == field]


@pytest.mark.parametrize("field, value, release", [
    ("shadow_gs", BIG, "4.7"), ("shadow_gs", BIG, "4.22"), ("msr_lstar", BIG, "4.7"), ("msr_lstar", BIG, "4.22"),
    ("dr6", 1 << 32, "4.7"), ("dr6", 1 << 32, "4.11"),
])
@pytest.mark.parametrize("vendor", ["intel", None])
def test_what_xen_writes_unguarded_on_vtx_kills_the_host(
    field: str, value: int, release: str, vendor: str | None
) -> None:
    finding, = _found(field, value, release, Features(vendor=vendor))
    assert finding.kills_host and finding.as_dict()["kills_host"]
    assert "or the whole host goes down" in finding.message


def test_on_svm_a_wide_dr6_kills_the_domain_alone() -> None:
    finding, = _found("dr6", 1 << 32, "4.11", Features(vendor="amd"))
    assert not finding.kills_host and "host" not in finding.message


@pytest.mark.parametrize("field, value", [("gdtr_base", BIG), ("sysenter_eip", BIG), ("dr7", 1 << 32), ("rip", BIG)])
def test_what_only_vm_entry_refuses_kills_the_domain_alone(field: str, value: int) -> None:
    finding, = _found(field, value)
    assert not finding.kills_host and "kills_host" not in finding.as_dict()
