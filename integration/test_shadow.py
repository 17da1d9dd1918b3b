# SPDX-License-Identifier: MIT
"""Guests with shadow paging (`hap=0`), where Xen walks a guest's page tables itself.

Of Debian's builds only 4.14 has it. 32-bit PAE runs in full here; under HAP the emulator sets accessed bits in the
page-directory pointers, which are reserved there, so that the suites of the other guests have a stub that never exits.

After such guests Linux guests with HAP have died on an emulated host; so these tests come last.
"""

from __future__ import annotations

import errno
import json
from contextlib import closing
from pathlib import Path
from typing import Iterator, Tuple

import pytest

from integration import starts
from integration.evidence import host as machine
from integration.evidence import xl
from integration.evidence.control import Control
from integration.evidence.tiny import TinyGuest
from xenvcpu import encoding
from xenvcpu.abi import mtrr
from xenvcpu.abi.save_stream import END, Record, Typecode, join
from xenvcpu.api import Dom0Domain, Host, VcpuContext, open_host
from xenvcpu.errors import HypercallError

pytestmark = pytest.mark.last
INITIALISE, UP = 0, 1
JUMP_TO_SELF = b"\xeb\xfe"
LINUX_PAT = 0x0407050600070106
OTHERS = (1, 2, 3, 4, 5)
NOT_BACKED = 0x3F000000
"""Where the guest has no memory."""
#: The bits of the control registers and of EFER that the modes differ in.
CR0, CR4, EFER = 0x80000001, 0x20, 0x500


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def shadow_paging() -> None:
    """What all of this needs."""
    reason = machine.why_no_shadow_paging()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def booted(tiny_image: Path) -> Iterator[TinyGuest]:
    guest = TinyGuest(tiny_image, vcpus=6, hap=0)
    yield guest
    guest.destroy()


@pytest.fixture
def driven(host: Host, booted: TinyGuest) -> Iterator[Tuple[TinyGuest, Dom0Domain]]:
    """The guest with its boot vcpu watching, and nothing else up before the test and after it."""
    domain = host.domain(booted.name)
    assert isinstance(domain, Dom0Domain) and domain.domid == booted.domid
    booted.watch_registers()
    yield booted, domain
    domain.stop(OTHERS)
    assert booted.online() == [0]


Driven = Tuple[TinyGuest, Dom0Domain]


def assert_ran(guest: TinyGuest, mode: str, vcpuid: int, context: VcpuContext) -> None:
    """The stub has dumped what the context said, and goes on with hypercalls."""
    seen, bits = guest.dump(vcpuid), starts.WIDTHS[mode]
    assert seen["width"] == bits
    assert (seen["cr0"] & CR0, seen["cr4"] & CR4) == (context.cr0 & CR0, context.cr4 & CR4)
    assert (seen["efer"] & EFER, seen["cr3"]) == (context.efer & EFER, context.cr3)
    asked = starts.registers(vcpuid, 64 if bits == 64 else 32)
    names = ("rdx", "rsi", "rdi") if bits == 16 else starts.GENERAL
    mask = (1 << bits) - 1
    assert {name: seen[name] & mask for name in names} == {name: asked[name] & mask for name in names}
    if bits != 16:  # that stub sleeps for ever
        guest.stubs.await_count(vcpuid)


@pytest.mark.smoke
def test_all_five_modes_start_in_one_load_in_full(driven: Driven) -> None:
    """Each stub, the 32-bit PAE one too, reads every control register, dumps all, and goes on with hypercalls."""
    guest, domain = driven
    assert json.loads(xl.run("list", "-l", str(guest.domid)))[0]["config"]["c_info"]["hap"] == "False"
    assert domain.info.is_hap is False
    modes = dict(zip(OTHERS, starts.MODES))
    contexts = {vcpuid: starts.context(guest, mode, vcpuid, in_full=True) for vcpuid, mode in modes.items()}
    assert domain.start(OTHERS, contexts.__getitem__).vcpuids == OTHERS
    for vcpuid, mode in modes.items():
        assert_ran(guest, mode, vcpuid, contexts[vcpuid])
    assert guest.online() == [0, *OTHERS]
    starts.assert_unharmed(guest)


def test_all_five_modes_start_through_vcpuop_in_full(driven: Driven) -> None:
    """The same from inside."""
    guest, domain = driven
    for vcpuid, mode in zip(OTHERS, starts.MODES):
        context = starts.context(guest, mode, vcpuid, in_full=True)
        starts.through_vcpuop(guest, domain, vcpuid, context)
        assert_ran(guest, mode, vcpuid, context)
    starts.assert_unharmed(guest)


@pytest.mark.parametrize("mode", starts.MODES)
def test_both_interfaces_leave_the_same_cpu_record(driven: Driven, mode: str) -> None:
    """The same context through VCPUOP and from dom0, on a loop that changes nothing: no field differs but the TSC."""
    guest, domain = driven
    context = starts.context(guest, mode, 1)
    guest.write((context.cs.base if mode == "real16" and context.cs else 0) + context.rip, JUMP_TO_SELF)
    starts.through_vcpuop(guest, domain, 1, context)
    inside = domain.record(1)
    domain.stop([1])
    domain.start([1], lambda vcpuid: context)
    outside = domain.record(1)
    differing = {
        name: (hex(value), hex(outside[name])) for name, value in inside.values.items()
        if name not in ("tsc", "flags") and value != outside[name]
    }
    assert differing == {}


def test_start_and_stop_leave_the_boot_vcpu_and_a_paged_one_as_they_are(driven: Driven) -> None:
    """25 starts and stops of one vcpu, while another counts in 32-bit PAE code."""
    guest, domain = driven
    paged = starts.context(guest, "pae32", 2, in_full=True)
    domain.start([2], lambda vcpuid: paged)
    guest.dump(2)
    for turn in range(25):
        context = starts.context(guest, "flat32", 1, rests=True).replace(rdi=0x1000 + turn)
        domain.start([1], lambda vcpuid, context=context: context)  # type: ignore[misc]
        assert guest.dump(1)["rdi"] == 0x1000 + turn
        assert domain.stop([1]) == (1,)
    assert guest.online() == [0, 2]
    guest.stubs.await_count(2)
    starts.assert_unharmed(guest)


def test_vcpuop_refuses_a_cr3_without_memory_and_the_vcpu_stays_fresh(driven: Driven) -> None:
    """With paging on CR3 must lie in the guest's memory, else EINVAL; the right one is taken afterwards."""
    guest, _ = driven
    for vcpuid, mode in zip((1, 2, 3), ("pae32", "compat32", "long64")):
        sound = starts.context(guest, mode, vcpuid, in_full=True)
        bad = encoding.to_vcpu_hvm_context(sound.replace(cr3=NOT_BACKED)).pack()
        assert guest.vcpu_op(INITIALISE, vcpuid, bad) == -errno.EINVAL
        assert guest.vcpu_op(UP, vcpuid) == -errno.EINVAL
        assert guest.vcpu_op(INITIALISE, vcpuid, encoding.to_vcpu_hvm_context(sound).pack()) == 0
        assert guest.vcpu_op(UP, vcpuid) == 0
        assert_ran(guest, mode, vcpuid, sound)
    without_paging = starts.context(guest, "flat32", 4).replace(cr3=NOT_BACKED)
    assert guest.vcpu_op(INITIALISE, 4, encoding.to_vcpu_hvm_context(without_paging).pack()) == 0
    starts.assert_unharmed(guest)


def test_the_pat_of_the_boot_vcpu_survives_any_load(driven: Driven, host: Host) -> None:
    """Unlike under HAP a CPU record leaves the PAT alone; so none is refused for variable MTRRs that firmware set."""
    guest, domain = driven
    with closing(Control()) as control, control.paused(guest.domid):
        state = domain.state()
        first, mask = mtrr.VARIABLE[:2]
        changes = {"msr_pat_cr": LINUX_PAT, first: 0xF0000000, mask: 0xFFF8000800}
        image = mtrr.LAYOUT.unpack(state.mtrr[0].payload).with_values(**changes)
        pat = Record(Typecode.MTRR, 0, image.pack())
        host.dom0.load_context(guest.domid, join((state.header, *state.kept, pat, END)))
        assert domain.state().own_pats == {0: LINUX_PAT}
        host.dom0.load_context(guest.domid, join((state.header, *state.cpu.values(), END)))
        assert domain.state().own_pats == {0: LINUX_PAT}
    context = starts.context(guest, "flat32", 1)
    domain.start([1], lambda vcpuid: context)
    assert guest.dump(1)["rdi"] == context.rdi
    assert domain.state().own_pats == {0: LINUX_PAT}
    starts.assert_unharmed(guest)


def test_from_dom0_such_a_cr3_crashes_the_domain_and_the_error_says_so(host: Host, tiny_image: Path) -> None:
    """Xen refuses the record with EINVAL and crashes the domain for it; nothing is claimed to be put back."""
    guest = TinyGuest(tiny_image, vcpus=2, hap=0)
    try:
        bad = starts.context(guest, "pae32", 1).replace(cr3=NOT_BACKED)
        with pytest.raises(HypercallError) as caught:
            host.domain(guest.name).start([1], lambda vcpuid: bad)
        assert (caught.value.errno, caught.value.restored) == (errno.EINVAL, False)
        assert caught.value.left == ("the domain has crashed",)
        assert any("domain_crash called from" in line for line in caught.value.console), caught.value.console
        assert "c" in (guest.state() or "")
    finally:
        guest.destroy()
