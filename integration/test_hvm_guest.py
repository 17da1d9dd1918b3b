# SPDX-License-Identifier: MIT
"""HVM guests: firmware boots them, a device model serves them, and dom0 starts their vcpus."""

from __future__ import annotations

import errno
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest

from integration import starts
from integration.evidence import host as machine
from integration.evidence import xl
from integration.evidence.control import Control
from integration.evidence.hvm import HvmGuest
from integration.evidence.stubs import await_true
from integration.guest import layout
from integration.promises import IS_BRISK
from xenvcpu import encoding
from xenvcpu.abi import mtrr
from xenvcpu.abi.save_stream import END, Record, Typecode, join
from xenvcpu.allowances import Allowances
from xenvcpu.api import Dom0Domain, Host, flat32, open_host
from xenvcpu.errors import DeviceAccessError, HypercallError, RefusedContextError
from xenvcpu.rules.release import Since

CHANGES = 30 if IS_BRISK else 80
INITIALISE = 0
LINUX_PAT = 0x0407050600070106
HVMLOADER_INITIALISES = Since("4.19")
"""From here on hvmloader starts the other vcpus by VCPUOP_initialise, before it by INIT and SIPI."""
SOUND = encoding.to_vcpu_hvm_context(flat32(eip=layout.PARK)).pack()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


@pytest.fixture(scope="module")
def booted(tiny_image: Path) -> Iterator[HvmGuest]:
    """One guest for all tests: its way through hvmloader and SeaBIOS takes an emulated host ten seconds and more."""
    reason = machine.why_no_device_model()
    if reason:
        pytest.skip(reason)
    guest = HvmGuest(tiny_image, vcpus=4)
    yield guest
    guest.destroy()


@pytest.fixture(scope="module")
def first_initialise(booted: HvmGuest) -> int:
    """What the guest's own VCPUOP_initialise of vcpu 3 answers before dom0 touches the guest."""
    return booted.vcpu_op(INITIALISE, 3, SOUND)


@pytest.fixture
def driven(host: Host, booted: HvmGuest, first_initialise: int) -> Iterator[Tuple[HvmGuest, Dom0Domain]]:
    """The guest with its boot vcpu watching, and nothing else up before the test and after it."""
    domain = host.domain(booted.name)
    assert isinstance(domain, Dom0Domain) and domain.domid == booted.domid
    booted.watch_registers()
    yield booted, domain
    domain.stop([1, 2, 3])
    assert booted.online() == [0]


Driven = Tuple[HvmGuest, Dom0Domain]


def assert_unharmed(guest: HvmGuest) -> None:
    """QEMU and the boot vcpu run on, and that has seen none of its registers change nor its TSC go back."""
    assert guest.ask_device_model("query-status")["status"] == "running"
    starts.assert_unharmed(guest)


def await_rounds(guest: HvmGuest, vcpuid: int, more: int = 20) -> None:
    """The vcpu goes on talking to the device."""
    before = guest.stubs.device(vcpuid).rounds
    await_true(lambda: guest.stubs.device(vcpuid).rounds >= before + more, f"vcpu {vcpuid} waits for its device", 60)


def talk_to_the_device(guest: HvmGuest, domain: Dom0Domain, vcpuid: int) -> None:
    """Starts a vcpu that does nothing but that."""
    entry = guest.place_stub("device", vcpuid)
    domain.start([vcpuid], lambda _: flat32(eip=entry, esp=entry))
    await_rounds(guest, vcpuid)


def assert_served(guest: HvmGuest, vcpuid: int, *, is_cut_off: bool = False) -> None:
    """That vcpu goes on, and every read was answered, also that which was under way when another vcpu started.

    With `is_cut_off`, where that is allowed, it may have lost such reads and no more: Xen moves the vcpu behind an IN
    before QEMU has answered it, and drops the answer at a load. AL keeps what it had, which the stub makes the byte
    that it read before, or zero. Only the last such round is seen byte by byte.
    """
    await_rounds(guest, vcpuid)
    seen = guest.stubs.device(vcpuid)
    assert seen.slips == 0, seen
    assert is_cut_off or not seen.wrong, seen
    if seen.wrong:
        told, said = seen.told.to_bytes(4, "little"), seen.said.to_bytes(5, "little")
        assert all(said[n] in (told[n], said[n + 1]) for n in range(4)), seen


@pytest.fixture
def pauses(host: Host, monkeypatch: pytest.MonkeyPatch) -> List[int]:
    """The domain of each pause that is taken from now on: one a change, and one more each time that it has to wait."""
    taken: List[int] = []
    take = host.keeper.pause

    def noted(domid: int, *arguments: Any) -> None:
        taken.append(domid)
        take(domid, *arguments)

    monkeypatch.setattr(host.keeper, "pause", noted)
    return taken


def test_its_vcpus_start_from_dom0_in_one_load_each_in_its_mode(driven: Driven) -> None:
    """Each stub dumps the registers asked for, xl shows the vcpus up, and QEMU goes on, as does the boot vcpu."""
    guest, domain = driven
    assert guest.online() == [0]
    modes = {1: "real16", 2: "flat32", 3: "long64"}
    contexts = {vcpuid: starts.context(guest, mode, vcpuid) for vcpuid, mode in modes.items()}
    report = domain.start(domain.down_vcpus(), contexts.__getitem__)
    assert (report.vcpuids, report.kept) == ((1, 2, 3), (0,))
    for vcpuid, mode in modes.items():
        seen, bits = guest.dump(vcpuid), starts.WIDTHS[mode]
        assert seen["width"] == bits
        asked = starts.registers(vcpuid, 64 if bits == 64 else 32)
        assert {name: seen[name] for name in ("rdx", "rsi", "rdi")} == {
            name: asked[name] & (1 << bits) - 1 for name in ("rdx", "rsi", "rdi")
        }
    assert guest.online() == [0, 1, 2, 3]
    assert_unharmed(guest)


def test_the_guests_own_initialise_meets_eexist_where_hvmloader_has_used_it(
    driven: Driven, host: Host, first_initialise: int
) -> None:
    """From 4.19 on hvmloader leaves its vcpus initialised; before, and after a stop from dom0, they are fresh."""
    guest, domain = driven
    assert first_initialise == (-errno.EEXIST if host.dom0.release in HVMLOADER_INITIALISES else 0)
    domain.stop([3])
    assert guest.vcpu_op(INITIALISE, 3, SOUND) == 0
    assert guest.vcpu_op(INITIALISE, 3, SOUND) == -errno.EEXIST


def test_a_vcpu_that_talks_to_the_device_model_loses_no_read_through_many_changes_of_others(
    driven: Driven, pauses: List[int], record_property: Callable[[str, object], None]
) -> None:
    """Vcpu 1 tells the disk's registers a number and asks for it, through QEMU, while vcpu 2 comes and goes.

    Some starts find it in the middle of a read and let it run on first, or there would be nothing to see here.
    """
    guest, domain = driven
    talk_to_the_device(guest, domain, 1)
    entry = guest.place_stub("flat32", 2)
    pauses.clear()
    for _ in range(CHANGES // 2):
        domain.start([2], lambda vcpuid: flat32(eip=entry, esp=entry))
        assert domain.stop([2]) == (2,)
    record_property("pauses_more_than_changes", len(pauses) - CHANGES)
    assert_served(guest, 1)
    assert len(pauses) > CHANGES
    assert guest.online() == [0, 1]
    assert_unharmed(guest)


def test_a_start_of_a_paused_guest_waits_for_its_unpause_and_the_device_model_serves_on(driven: Driven) -> None:
    """Under a pause of xl the new vcpu is up and does not run yet, and QEMU answers; then all go on.

    Where that pause has caught vcpu 1 in the middle of a read, the start is refused: the read cannot end.
    """
    guest, domain = driven
    talk_to_the_device(guest, domain, 1)
    context = starts.context(guest, "flat32", 2)

    def is_started() -> bool:
        xl.run("pause", str(guest.domid))
        try:
            domain.start([2], lambda vcpuid: context)
        except DeviceAccessError as error:
            assert error.vcpuid == 1 and "somebody else holds the domain paused" in str(error)
            xl.run("unpause", str(guest.domid))
            return False
        return True

    with closing(Control()) as control:
        await_true(is_started, "each pause catches vcpu 1 in the middle of a read", 60)
        assert control.is_paused(guest.domid) and control.online(guest.domid, 4) == [0, 1, 2]
        assert not guest.stubs.reached(2)
        assert guest.ask_device_model("query-status")["status"] == "running"
        xl.run("unpause", str(guest.domid))
        assert not control.is_paused(guest.domid)
    assert guest.dump(2)["rdi"] == context.rdi
    assert_served(guest, 1)
    assert_unharmed(guest)


def test_refusals_leave_it_and_its_device_model_as_they_are(driven: Driven) -> None:
    """By a rule before Xen is asked, and by Xen itself: the error has Xen's line, and the vcpus run on."""
    guest, domain = driven
    talk_to_the_device(guest, domain, 1)
    bad = starts.context(guest, "flat32", 2).replace(cr4=1 << 15)
    with pytest.raises(RefusedContextError) as by_rule:
        domain.start([2], lambda vcpuid: bad)
    assert by_rule.value.rule == "cr4-bit"
    with pytest.raises(HypercallError) as by_xen:
        domain.start([2], lambda vcpuid: bad, allow=Allowances.of("device-access-loss", ignore_rules=["cr4-bit"]))
    assert (by_xen.value.errno, by_xen.value.restored) == (errno.EINVAL, True)
    assert any("bad CR4" in line for line in by_xen.value.console), by_xen.value.console
    assert guest.online() == [0, 1]
    assert_served(guest, 1, is_cut_off=True)
    assert_unharmed(guest)


def test_the_pat_that_a_vcpu_has_set_stays_though_firmware_has_set_ranges(driven: Driven, host: Host) -> None:
    """Xen saves the firmware's variable MTRRs wrongly; they stay as they are, too."""
    guest, domain = driven
    with closing(Control()) as control, control.paused(guest.domid):
        state = domain.state()
        image = mtrr.LAYOUT.unpack(state.mtrr[0].payload)
        assert len({image[name] for name in mtrr.VARIABLE[::2]}) == 1 and image[mtrr.VARIABLE[0]]  # all say the first
        own = mtrr.without_ranges(image.with_values(msr_pat_cr=LINUX_PAT).pack())
        host.dom0.load_context(guest.domid, join((state.header, *state.kept, Record(Typecode.MTRR, 0, own), END)))
    assert domain.state().own_pats == {0: LINUX_PAT}

    context = starts.context(guest, "flat32", 1)
    domain.start([1], lambda vcpuid: context)
    assert guest.dump(1)["rdi"] == context.rdi
    after = domain.state()
    assert after.own_pats == {0: LINUX_PAT}
    assert mtrr.LAYOUT.unpack(after.mtrr[0].payload).values == {**image.values, "msr_pat_cr": LINUX_PAT}
    assert_unharmed(guest)
