# SPDX-License-Identifier: MIT
"""What is said of vcpus that a start only carries along, and of what a stopped one left behind."""

from __future__ import annotations

from pathlib import Path
from typing import List, Tuple

import pytest

from tests.start.conftest import context
from xenvcpu import processor
from xenvcpu.abi import ioreq
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries

CAUGHT = "vcpu 1 of domain 1 was stopped in the middle of an access to an emulated device"


def told(domain: Dom0Domain) -> List[Tuple[int, str]]:
    return [(vcpuid, finding.rule) for vcpuid, finding in domain.start([1], context).findings]


@pytest.mark.parametrize(("xfeature_mask", "has_record", "uses_fpu", "is_warned"), [
    (7, False, True, True), (0, False, True, False), (7, True, True, False), (7, False, False, False),
])
def test_an_online_vcpu_whose_fpu_image_may_be_old_is_named(
    web: Dom0Domain, libraries: ModelLibraries, xfeature_mask: int, has_record: bool, uses_fpu: bool, is_warned: bool
) -> None:
    libraries.host.xfeature_mask = xfeature_mask
    boot = libraries.host.named("web").vcpus[0]
    boot.xsave = boot.xsave if has_record else None
    boot.image = boot.image.with_values(flags=int(uses_fpu))
    assert ((0, "fpu-without-xsave") in told(web)) is is_warned


@pytest.mark.parametrize(("flags", "has_it"), [("fpu xsave avx", True), ("fpu xsaveopt", False), ("", False)])
def test_whether_a_processor_has_xsave_is_seen_in_its_flags(tmp_path: Path, flags: str, has_it: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t: xsave\n")
    assert processor.has_xsave(tmp_path / "cpuinfo") is has_it
    assert not processor.has_xsave(tmp_path / "nowhere")


@pytest.mark.parametrize(("release", "vcpuid", "is_told"), [("4.13", 1, True), ("4.13", 0, False), ("4.14", 1, False)])
def test_before_4_14_a_vcpu_that_was_stopped_in_an_access_to_a_device_is_named(
    release: str, vcpuid: int, is_told: bool
) -> None:
    """Later a load cancels the access of the vcpu that it starts."""
    libraries = ModelLibraries(worlds.hvm(release))
    with Host("model", libraries) as host:
        domain = host.domain("db")
        assert isinstance(domain, Dom0Domain)
        server = libraries.host.named("db").ioreq_servers[0]
        server.ask(vcpuid, ioreq.encode(ioreq.STATE_ANSWERED))
        server.answers_after = 10
        assert any(note.startswith(CAUGHT) for note in domain.start([1], context).notes) is is_told
    assert libraries.leaks == {}


def test_before_4_14_pages_that_cannot_be_seen_stop_no_start() -> None:
    libraries = ModelLibraries(worlds.hvm("4.13"))
    libraries.fail("xenforeignmemory_map_resource", "EPERM")
    with Host("model", libraries) as host:
        domain = host.domain("db")
        assert isinstance(domain, Dom0Domain) and domain.start([1], context).notes == ()
    assert libraries.leaks == {}
