# SPDX-License-Identifier: MIT
"""Starts from dom0, proved by what the vcpus themselves dump, by the boot vcpu's own watch, and by xl."""

from __future__ import annotations

import errno
from typing import Callable, Iterator

import pytest

from integration import starts
from integration.evidence import host as machine
from integration.evidence import xl
from integration.evidence.tiny import TinyGuest
from xenvcpu.abi import mtrr
from xenvcpu.abi.save_stream import END, Record, Typecode, join
from xenvcpu.allowances import EVERY_RULE
from xenvcpu.api import Host, open_host
from xenvcpu.errors import HypercallError, LastVcpuError, RefusedContextError

Factory = Callable[..., TinyGuest]
LINUX_PAT = 0x0407050600070106


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


def assert_unharmed(guest: TinyGuest) -> None:
    """The boot vcpu runs on, and has seen none of its registers change nor its TSC go back."""
    guest.await_beats(5)
    watch = guest.watch()
    assert watch.rounds > 0
    assert (watch.errors, watch.last, watch.tsc_back) == (0, "none", 0)


def test_all_secondary_vcpus_start_in_one_load_with_each_register_as_asked(
    host: Host, tiny_guest: Factory, record_property: Callable[[str, object], None]
) -> None:
    """Seven vcpus start at once; each dumps the registers it was given, while the boot vcpu watches its own."""
    guest = tiny_guest(vcpus=8)
    guest.watch_registers()
    domain = starts.drive(host, guest)
    contexts = {vcpuid: starts.context(guest, "flat32", vcpuid) for vcpuid in range(1, 8)}
    before = guest.beat()
    report = domain.start(domain.down_vcpus(), contexts.__getitem__)
    assert report.vcpuids == tuple(range(1, 8)) and report.kept == (0,)
    for vcpuid, context in contexts.items():
        seen = guest.dump(vcpuid)
        assert {name: seen[name] for name in starts.GENERAL} == starts.registers(vcpuid, 32)
        assert (seen["width"], seen["cr0"], seen["efer"]) == (32, context.cr0, 0)
    assert guest.online() == list(range(8))
    assert guest.beat() > before
    assert_unharmed(guest)
    record_property("pause_ms", round(1000 * (report.pause_seconds or 0), 1))


def test_a_stopped_vcpu_starts_again(host: Host, tiny_guest: Factory) -> None:
    """Stop takes a vcpu down, as xl sees it; a second start runs it from its entry with new registers."""
    guest = tiny_guest(vcpus=3)
    guest.watch_registers()
    domain = starts.drive(host, guest)
    for turn in range(3):
        context = starts.context(guest, "flat32", 1).replace(rdi=0x1000 + turn)
        domain.start([1], lambda vcpuid, context=context: context)  # type: ignore[misc]
        assert guest.dump(1)["rdi"] == 0x1000 + turn
        assert guest.online() == [0, 1]
        assert domain.stop([1]) == (1,)
        assert guest.online() == [0]
    assert_unharmed(guest)


def test_a_rule_refuses_a_bad_context_before_xen_is_asked(host: Host, tiny_guest: Factory) -> None:
    """The rule and the field are named; Xen's console stays silent."""
    guest = tiny_guest(vcpus=2)
    context = starts.context(guest, "flat32", 1).replace(cr4=1 << 15)
    before = xl.dmesg()
    with pytest.raises(RefusedContextError) as caught:
        starts.drive(host, guest).start([1], lambda vcpuid: context)
    assert (caught.value.rule, caught.value.field) == ("cr4-bit", "cr4")
    assert xl.dmesg() == before
    assert guest.online() == [0]


@pytest.mark.parametrize("changes", [{"cr4": 1 << 15}, {"cr0": 0x80000010}, {"efer": 1 << 12}], ids=str)
def test_with_the_rules_bypassed_xen_refuses_and_the_guest_is_unharmed(
    host: Host, tiny_guest: Factory, changes: dict[str, int]
) -> None:
    """Xen answers EINVAL, its console line comes with the error, and every vcpu is as it was."""
    guest = tiny_guest(vcpus=4)
    guest.watch_registers()
    domain = starts.drive(host, guest)
    domain.start([1], lambda vcpuid: starts.context(guest, "flat32", vcpuid))
    guest.dump(1)
    bad = starts.context(guest, "flat32", 3).replace(**changes)
    good = starts.context(guest, "flat32", 2)
    with pytest.raises(HypercallError) as caught:
        domain.start([2, 3], lambda vcpuid: bad if vcpuid == 3 else good, allow=EVERY_RULE)
    assert caught.value.errno == errno.EINVAL and caught.value.restored is True
    assert any("restore" in line for line in caught.value.console), caught.value.console
    assert guest.online() == [0, 1]
    assert domain.start([2], lambda vcpuid: good).vcpuids == (2,)
    assert_unharmed(guest)


def test_the_pat_of_the_boot_vcpu_survives(host: Host, tiny_guest: Factory) -> None:
    """A CPU record alone resets the PAT under SVM, which is shown first; a start brings it back."""
    guest = tiny_guest(vcpus=2)
    guest.watch_registers()
    domain = starts.drive(host, guest)
    state = domain.state()
    image = mtrr.LAYOUT.unpack(state.mtrr[0].payload).with_values(msr_pat_cr=LINUX_PAT)
    set_pat = Record(Typecode.MTRR, 0, image.pack())
    host.dom0.load_context(guest.domid, join((state.header, *state.kept, set_pat, END)))
    assert domain.state().own_pats == {0: LINUX_PAT}

    domain.start([1], lambda vcpuid: starts.context(guest, "flat32", vcpuid))
    guest.dump(1)
    assert domain.state().own_pats == {0: LINUX_PAT}

    if machine.is_amd():
        state = domain.state()
        host.dom0.load_context(guest.domid, join((state.header, *state.cpu.values(), END)))
        assert domain.state().own_pats == {}
    guest.await_beats()


def test_the_last_vcpu_is_not_stopped(host: Host, tiny_guest: Factory) -> None:
    """A stop that would leave the domain without a running vcpu is refused."""
    guest = tiny_guest(vcpus=2)
    with pytest.raises(LastVcpuError):
        starts.drive(host, guest).stop([0])
    guest.await_beats()
