# SPDX-License-Identifier: MIT
"""What is told of vcpus that start together, and of one that starts beside the boot vcpu."""

from __future__ import annotations

from typing import Callable, Dict, List, Tuple

import pytest

from tests.start.conftest import context
from xenvcpu.abi.vcpu_hvm_context import LAYOUT_32B
from xenvcpu.allowances import EVERY_RULE
from xenvcpu.context.presets import flat32, long64, pae32
from xenvcpu.context.segment import Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.encoding import to_cpu_record
from xenvcpu.errors import HypercallError
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.newvcpu import prepare
from xenvcpu.rules import together
from xenvcpu.rules.features import UNKNOWN
from xenvcpu.rules.release import KNOWN

LONG = long64(0x1000, 0x8000, 0x2000)
NXE, LA57, PCIDE = 1 << 11, 1 << 12, 1 << 17


def told(
    wanted: Callable[[int], VcpuContext], vcpuids: List[int], *, inside: bool
) -> List[Tuple[int, str, str]]:
    libraries = ModelLibraries(worlds.pvh(), 1 if inside else 0)
    with Host("guest" if inside else "model", libraries) as host:
        report = host.domain("self" if inside else "web").start(vcpuids, wanted)
    return [(vcpuid, finding.rule, finding.field) for vcpuid, finding in report.findings]


@pytest.mark.parametrize("inside", [False, True], ids=["dom0", "guest"])
def test_one_stack_for_several_vcpus_is_told_of_each(inside: bool) -> None:
    assert told(lambda vcpuid: flat32(0x1000, 0x8000), [1, 2], inside=inside) == [
        (1, "shared-stack", "esp"), (2, "shared-stack", "esp")
    ]
    assert told(context, [1, 2], inside=inside) == []
    assert told(lambda vcpuid: flat32(0x1000, 0x8000), [1], inside=inside) == []


def test_stacks_of_other_segments_or_of_other_tables_are_not_the_same() -> None:
    def based(vcpuid: int) -> VcpuContext:
        return flat32(0x1000, 0x8000).replace(ss=Segment(0x1000 * vcpuid, 0xFFFFFFFF, 0xC93))

    assert told(based, [1, 2], inside=False) == []
    assert told(lambda vcpuid: long64(0x1000, 0x8000, 0x1000 * vcpuid), [1, 2], inside=False) == []
    assert [each[1:] for each in told(lambda _: LONG, [1, 2], inside=False)] == [("shared-stack", "rsp")] * 2


def test_an_image_of_an_unknown_mode_has_no_stack_and_is_for_xen_to_refuse() -> None:
    with Host("guest", ModelLibraries(worlds.pvh(), 1)) as host, pytest.raises(HypercallError, match="EINVAL"):
        host.domain("self").start([1, 2], lambda _: LAYOUT_32B.image({"mode": 7}), allow=EVERY_RULE)


def beside(wanted: VcpuContext, boot: VcpuContext) -> List[Tuple[str, int, str]]:
    case = prepare(1, wanted, KNOWN[-1], UNKNOWN).state
    found = together.beside(case, to_cpu_record(boot))
    return [(finding.field, finding.value, finding.message.rpartition("; ")[2]) for finding in found]


@pytest.mark.parametrize(("boot", "field", "remedy"), [
    ({"efer": 0x500 | NXE}, "efer", "set it: efer = 0xd00"), ({"cr4": 0x20 | LA57}, "cr4", "set it: cr4 = 0x1020"),
    ({"cr4": 0x20 | PCIDE}, "cr4", "set it: cr4 = 0x20020"),
])
def test_the_boot_vcpus_tables_without_the_bits_that_it_reads_them_by_are_told(
    boot: Dict[str, int], field: str, remedy: str
) -> None:
    running = LONG.replace(**boot)
    assert beside(LONG, running) == [(field, getattr(LONG, field), remedy)]
    assert beside(LONG.replace(**boot), running) == []
    assert beside(LONG.replace(cr3=0x3000), running) == []
    assert beside(flat32(0x1000, 0x8000).replace(cr3=0x2000), running) == []


def test_pcid_and_cache_flags_in_cr3_are_no_other_tables() -> None:
    assert len(beside(LONG.replace(cr3=0x2018), LONG.replace(cr3=0x2001, efer=0x500 | NXE))) == 1


def test_more_levels_than_the_boot_vcpu_has_are_told_but_not_more_rights() -> None:
    assert [each[2] for each in beside(LONG.replace(cr4=0x20 | LA57), LONG)] == ["clear it: cr4 = 0x20"]
    assert beside(LONG.replace(efer=0x500 | NXE, cr4=0x20 | PCIDE), LONG) == []


def test_tables_of_another_form_are_told() -> None:
    assert [each[0] for each in beside(pae32(0x1000, 0x8000, 0x2000), LONG)] == ["efer"]


def test_a_start_and_its_dry_run_know_the_boot_vcpu(web: Dom0Domain, libraries: ModelLibraries) -> None:
    boot = libraries.host.named("web").vcpus[0]
    boot.image = to_cpu_record(LONG.replace(efer=0x500 | NXE, rip=0x5000))
    planned = web.plan([1], lambda vcpuid: LONG).vcpus[0].verdict.findings
    assert [finding.rule for finding in planned] == ["boot-vcpu-tables"]
    assert web.start([1], lambda vcpuid: LONG).findings == ((1, planned[0]),)
