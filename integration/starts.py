# SPDX-License-Identifier: MIT
"""Contexts of the suites: one for each mode, that lands in the stub of that mode."""

from __future__ import annotations

from typing import Callable, Mapping

from integration.evidence.domain import StubbedDomain
from integration.evidence.tiny import TinyGuest
from xenvcpu import encoding
from xenvcpu.api import PRESETS, Dom0Domain, Host, VcpuContext

GENERAL = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
MODES = ("flat32", "real16", "pae32", "compat32", "long64")
FULL = {"pae32": "pae32 in full"}
"""The stub of a mode that has a quiet one as well."""
WIDTHS = {"flat32": 32, "real16": 16, "pae32": 32, "compat32": 32, "long64": 64}

VCPUOP_INITIALISE, VCPUOP_UP = 0, 1


def registers(vcpuid: int, bits: int) -> dict[str, int]:
    """A value for each general register that no other vcpu and no other register has."""
    pattern = 0x1122334455667788 + vcpuid * 0x0101
    return {name: (pattern + (i << 4)) & (1 << bits) - 1 for i, name in enumerate(GENERAL)}


def context(
    guest: StubbedDomain, mode: str, vcpuid: int, *, wanted: tuple[str, ...] = (), rests: bool = False,
    in_full: bool = False,
) -> VcpuContext:
    """Places a stub for a vcpu and returns the context that starts it there.

    Args:
        guest: The domain; its page tables are written when the mode needs some.
        mode: One of ``MODES``.
        vcpuid: The vcpu.
        wanted: What the stub shall dump besides.
        rests: Whether it sleeps for ever then, instead of counting on.
        in_full: Whether a stub of 32-bit PAE code leaves the guest like the others: not under HAP in an emulator.
    """
    entry = guest.place_stub(FULL.get(mode, mode) if in_full else mode, vcpuid, wanted=wanted, rests=rests)
    made = bare(guest, mode).replace(rip=entry, **registers(vcpuid, WIDTHS[mode]))
    if mode == "real16":
        assert made.cs is not None
        return made.replace(rip=0, cs=made.cs.__class__(entry, made.cs.limit, made.cs.ar))
    return made


def bare(guest: StubbedDomain, mode: str) -> VcpuContext:
    """The context of a mode with the page tables it needs, and no entry yet."""
    made = PRESETS[mode]()
    if mode in ("real16", "flat32"):
        return made
    roots = guest.page_tables()
    return made.replace(cr3=roots.pae if mode == "pae32" else roots.long)


def drive(host: Host, guest: TinyGuest) -> Dom0Domain:
    """The guest as the package drives it from dom0."""
    domain = host.domain(guest.name)
    assert isinstance(domain, Dom0Domain) and domain.domid == guest.domid
    return domain


def through_vcpuop(guest: TinyGuest, domain: Dom0Domain, vcpuid: int, context: VcpuContext) -> None:
    """Starts a fresh vcpu by the boot vcpu's own hypercalls."""
    assert guest.vcpu_op(VCPUOP_INITIALISE, vcpuid, encoding.to_vcpu_hvm_context(context).pack()) == 0
    assert guest.vcpu_op(VCPUOP_UP, vcpuid) == 0


def from_dom0(guest: TinyGuest, domain: Dom0Domain, vcpuid: int, context: VcpuContext) -> None:
    """Starts a vcpu from dom0."""
    assert domain.start([vcpuid], lambda _: context).vcpuids == (vcpuid,)


INTERFACES: Mapping[str, Callable[[TinyGuest, Dom0Domain, int, VcpuContext], None]] = {
    "vcpuop": through_vcpuop, "dom0": from_dom0,
}
"""The two interfaces, each as a function that starts a vcpu."""


def assert_unharmed(guest: TinyGuest) -> None:
    """The boot vcpu runs on, and has seen none of its registers change nor its TSC go back."""
    rounds = guest.watch().rounds
    guest.await_beats(5)
    watch = guest.watch()
    assert watch.rounds > rounds
    assert (watch.errors, watch.last, watch.tsc_back) == (0, "none", 0)
