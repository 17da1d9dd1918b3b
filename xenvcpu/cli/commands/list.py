# SPDX-License-Identifier: MIT
"""`xenvcpu list`: the vcpus of domains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Union

import click

from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_domain, global_options, pass_session, timeout_option
from xenvcpu.cli.output import print_json, print_table
from xenvcpu.errors import NoSuchDomainError
from xenvcpu.host import SELF, Host

if TYPE_CHECKING:
    from xenvcpu.deadline import Deadline
    from xenvcpu.dom0domain import Dom0Domain
    from xenvcpu.guestdomain import GuestDomain
    from xenvcpu.vcpustate import VcpuState

    Domain = Union[Dom0Domain, GuestDomain]

HEADINGS = ("NAME", "ID", "VCPU", "CPU", "STATE", "TIME(S)", "INIT", "MODE", "RIP")
_NS = 1_000_000_000
_RUNS = DomainInfo(0)


def _found(
    host: Host, names: tuple[str, ...], deadline: Deadline
) -> Iterator[tuple[Domain, tuple[VcpuState, ...]]]:
    if names or host.is_inside:
        for name in names or (SELF,):
            domain = host.domain(name)
            yield domain, domain.vcpus()
            if domain.domid is not None:
                deadline.check("listing it", domain.domid)
        return
    for found in host.domains():
        deadline.check("listing domains", found.domid)
        try:
            yield found, found.vcpus()
        except NoSuchDomainError:
            # It went away while we looked; nobody asked for it by name.
            continue


def _row(domain: Domain, vcpu: VcpuState) -> tuple[object, ...]:
    seconds = None if vcpu.cpu_time is None else f"{vcpu.cpu_time / _NS:.1f}"
    known = {None: None, True: "yes", False: "no"}[vcpu.is_initialised]
    rip = None if vcpu.rip is None else f"{vcpu.rip:#x}"
    return (domain.name, domain.domid, vcpu.vcpuid, vcpu.cpu, vcpu.letters, seconds, known, vcpu.mode, rip)


def _as_dict(domain: Domain, vcpus: tuple[VcpuState, ...]) -> dict[str, Any]:
    shown = [vcpu.as_dict() for vcpu in vcpus]
    names = {"domid": domain.domid, "name": domain.name, "uuid": domain.uuid}
    info = _info(domain)
    return {**names, "paused": info.is_paused, "ended": info.ended, "vcpus": shown}


def _info(domain: Domain) -> DomainInfo:
    """What Xen said of it; the caller's own runs."""
    found: DomainInfo = getattr(domain, "info", _RUNS)
    return found


def _note(domain: Domain) -> str | None:
    """Why nothing of a domain runs, if so."""
    info, name = _info(domain), domain.name or domain.domid
    if info.has_crashed:
        return f"{name} has crashed: `xl dmesg` may show why, and `xl destroy {domain.domid}` removes it"
    if info.ended is not None:
        return f"{name} has ended ({info.ended}): none of its vcpus runs any more"
    return f"{name} is paused: `xl unpause {domain.domid}`" if info.is_paused else None


@click.command("list", epilog=examples(
    "xenvcpu list",
    "xenvcpu list web --json",
))
@click.argument("domains", nargs=-1, metavar="[DOMAIN]...", shell_complete=complete_domain)
@timeout_option
@global_options
@pass_session
def command(session: Session, domains: tuple[str, ...]) -> None:
    """List the vcpus of the domains given, or of all.

    STATE is as `xl vcpu-list` writes it: `r--` runs on a processor, `-b-` blocked (it waits
    for an event), `--p` down, `---` none of these: it waits for a processor, or its domain
    is paused or has ended, which a note says. INIT, MODE and RIP are shown where they can be
    known: a vcpu that is down has no registers to show. With --json, `cpu_time` is in
    nanoseconds, and `ended` says how a domain has ended: `crash`, `poweroff`, ...
    """
    with session.open() as host:
        found = list(_found(host, domains, session.patience.begin()))
    if session.json:
        print_json({"domains": [_as_dict(domain, vcpus) for domain, vcpus in found]})
    else:
        print_table(HEADINGS, [_row(domain, vcpu) for domain, vcpus in found for vcpu in vcpus])
        session.say_notes(note for note in (_note(domain) for domain, _ in found) if note)
