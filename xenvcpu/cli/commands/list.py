# SPDX-License-Identifier: MIT
"""`xenvcpu list`: the vcpus of domains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Union

import click

from xenvcpu.cli.examples import examples
from xenvcpu.cli.main import PROGRAM
from xenvcpu.cli.options import Session, complete_domain, global_options, pass_session, timeout_option
from xenvcpu.cli.output import print_json, print_table, say
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
    return {**names, "paused": _is_paused(domain), "vcpus": shown}


def _is_paused(domain: Domain) -> bool:
    """Whether a toolstack holds it paused; the caller's own runs."""
    info = getattr(domain, "info", None)
    return info is not None and bool(info.is_paused)


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

    STATE is as `xl vcpu-list` writes it: r running, b blocked, p down. INIT, MODE and RIP
    are shown where they can be known: a vcpu that is down has no registers to show.
    """
    with session.open() as host:
        found = list(_found(host, domains, session.patience.begin()))
    if session.json:
        print_json({"domains": [_as_dict(domain, vcpus) for domain, vcpus in found]})
    else:
        print_table(HEADINGS, [_row(domain, vcpu) for domain, vcpus in found for vcpu in vcpus])
        for domain in (domain for domain, _ in found if _is_paused(domain) and not session.quiet):
            say(f"{PROGRAM}: {domain.name or domain.domid} is paused: `xl unpause {domain.domid}`", err=True)
