# SPDX-License-Identifier: MIT
"""No start takes the host down, whatever it is given; the model's Xen goes down for whoever loads it all the same."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import List, Optional

import pytest

from xenvcpu import encoding, processor
from xenvcpu.abi import save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.allowances import EVERY_RULE, NONE, Allowance, Allowances
from xenvcpu.context.presets import PRESETS, flat32
from xenvcpu.errors import RefusedContextError
from xenvcpu.host import Host
from xenvcpu.model import console, worlds
from xenvcpu.model.answer import HostDown
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.rules.features import UNKNOWN, Features

DEADLY = ({"msr_lstar": 1 << 63}, {"shadow_gs": 1 << 47})
ALLOWANCES = (
    NONE, EVERY_RULE, Allowances(frozenset(Allowance), frozenset(("all",))),
    Allowances.of(*(each.value for each in Allowance), ignore_rules=("base-not-canonical", "debug-build-assert")),
)
ASSERTED = ({"tr_arbytes": 0x89}, {"cs_arbytes": 0xC9A}, {"gdtr_limit": 0x10000}, {"fs_base": 1 << 47})


def record(changes: dict[str, int]) -> Image:
    return encoding.to_cpu_record(flat32(0x100000, 0x80000)).with_values(**changes)


def xen(vendor: str, *, debug: bool = False, release: str = "4.17") -> Hypervisor:
    host = worlds.pvh(release)
    return Hypervisor(host.release, host.domains.values(), vendor=vendor, is_debug_build=debug)


def start(host: Hypervisor, changes: dict[str, int], features: Features = UNKNOWN, *, allow: Allowances = NONE) -> None:
    with Host("model", ModelLibraries(host)) as opened:
        opened.domains()[0].start([1], lambda vcpuid: record(changes), features=features, allow=allow)


def load(host: Hypervisor, changes: dict[str, int]) -> None:
    new = Record(Typecode.CPU, 1, record(changes).pack())
    with Host("model", ModelLibraries(host)) as opened:
        opened.dom0.load_context(1, save_stream.join((save_stream.header(), new, save_stream.END)))


@pytest.mark.parametrize("changes", DEADLY, ids=str)
def test_no_vendor_that_is_claimed_and_no_allowance_takes_an_intel_host_down(changes: dict[str, int]) -> None:
    host = xen("intel")
    for vendor, allow in product(("amd", "intel", None), ALLOWANCES):
        with pytest.raises(RefusedContextError, match="the whole host goes down"):
            start(host, changes, Features(vendor=vendor), allow=allow)
    with pytest.raises(HostDown):
        load(host, changes)


@pytest.mark.parametrize("changes", ASSERTED, ids=str)
@pytest.mark.parametrize("vendor", ["intel", "amd"])
def test_what_a_debug_build_asserts_is_refused_whatever_a_caller_says(vendor: str, changes: dict[str, int]) -> None:
    host = xen(vendor, debug=True)
    for word, allow in product((False, None, True), ALLOWANCES):
        with pytest.raises(RefusedContextError, match="where Xen is a debug build"):
            start(host, changes, Features(is_debug_build=word), allow=allow)
    with pytest.raises(HostDown):
        load(host, changes)


@pytest.mark.parametrize("changes", ASSERTED, ids=str)
def test_a_release_build_of_svm_takes_it_since_xen_says_what_it_is(changes: dict[str, int]) -> None:
    host = xen("amd")
    start(host, changes)
    assert not host.named("web").vcpus[1].is_down


def test_where_xens_word_has_left_its_console_it_counts_as_a_debug_build() -> None:
    host = xen("amd")
    for _ in range(1000):
        host.console.print("a guest may print without end")
    with pytest.raises(RefusedContextError, match="where Xen is a debug build"):
        start(host, ASSERTED[0])


def test_a_guests_line_that_has_lost_its_prefix_is_not_xens_word() -> None:
    """The ring begins in the middle of a line that a guest printed."""
    host, forged = xen("amd", debug=True), "(XEN) Xen version 4.17 (a@b) (none) debug=n"
    host.console.print(f"(d1) {forged}")
    room = console.SIZE - len(forged) - len("\n")
    host.console.print("x" * (room - len("(XEN) \n")))
    with Host("model", ModelLibraries(host)) as opened:
        assert host.console.text.startswith(forged) and opened.dom0.is_debug_build() is None


def test_an_ordinary_start_does_not_ask_for_it() -> None:
    libraries = ModelLibraries(xen("amd"))
    with Host("model", libraries) as opened:
        opened.domains()[0].foresee([1], lambda vcpuid: record({}))
    assert not libraries.counts["xc_readconsolering"]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("vendor", ["intel", "amd"])
@pytest.mark.parametrize("release", ["4.7", "4.9", "4.14", "4.22"])
def test_every_preset_is_planned_on_every_host(release: str, vendor: str, debug: bool) -> None:
    planned: List[str] = []
    with Host("model", ModelLibraries(xen(vendor, debug=debug, release=release))) as opened:
        for name, preset in PRESETS.items():
            given = preset().replace(rip=0x1000, rsp=0x8000, cr3=0x1000)
            if opened.domains()[0].foresee([1], lambda vcpuid: given).vcpus[0].verdict.verdict == "accepted":  # noqa: B023
                planned.append(name)
    assert planned == list(PRESETS)


def test_the_vendor_is_the_hosts_where_none_is_given() -> None:
    """A limit whose low bits VT-x refuses is of no concern to SVM."""
    odd = {"fs_limit": 0x500000}
    with pytest.raises(RefusedContextError, match="limit-granularity"):
        start(xen("intel"), odd)
    start(xen("amd"), odd)
    with pytest.raises(RefusedContextError, match="limit-granularity"):
        start(xen("amd"), odd, Features(vendor="intel"))


@pytest.mark.parametrize("text, vendor", [
    ("processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 19\n", "intel"), ("vendor_id : AuthenticAMD\n", "amd"),
    ("vendor_id\t: HygonGenuine\n", "amd"), ("vendor_id\t:   Shanghai  \n", "intel"), ("vendor_id\t: Other\n", None),
    ("processor : 0\n", None), (None, None),
])
def test_the_vendor_is_that_of_cpuid(tmp_path: Path, text: Optional[str], vendor: Optional[str]) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    assert processor.vendor(path) == vendor
