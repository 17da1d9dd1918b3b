# SPDX-License-Identifier: MIT
"""`xenvcpu stop`: take vcpus away."""

from __future__ import annotations

from collections.abc import Iterable

import click

from xenvcpu.allowances import Allowance
from xenvcpu.cli import vcpus
from xenvcpu.cli.allowing import allow_options
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, change_options, complete_domain, global_options, pass_session
from xenvcpu.cli.output import print_json, say
from xenvcpu.plaintext import plain
from xenvcpu.vcpustate import VcpuState


def _online(states: Iterable[VcpuState]) -> tuple[int, ...]:
    return vcpus.secondary(vcpu.vcpuid for vcpu in states if vcpu.is_online)


@click.command("stop", epilog=examples("xenvcpu stop web 1-3"))
@click.argument("domain", shell_complete=complete_domain)
@click.argument("which", metavar="VCPUS", callback=vcpus.parse)
@allow_options(Allowance.LAST)
@change_options
@global_options
@pass_session
def command(session: Session, domain: str, which: tuple[int, ...] | None) -> None:
    """Take vcpus away; `all` is every one that is up, but the boot vcpu.

    From dom0 a vcpu is then as new: down and not initialised. Inside a guest it is down,
    and stays initialised.
    """
    with session.open() as host:
        found = host.domain(domain)
        vcpuids = _online(found.vcpus()) if which is None else which
        stopped = found.stop(vcpuids, allow=session.allow)
        notes = session.notes_on(host) if stopped else ()
    name = plain(found.name or f"domain {found.domid}")
    if stopped:
        session.done = f"stopped {vcpus.named(stopped)} of {name}"
    if session.json:
        was_down = [vcpuid for vcpuid in vcpuids if vcpuid not in stopped]
        print_json({
            "domid": found.domid, "name": found.name, "stopped": list(stopped), "was_down": was_down,
            "notes": list(notes),
        })
        return
    if not vcpuids and not session.quiet:
        say(f"no vcpu of {name} but the boot vcpu is up: nothing to stop")
    for vcpuid in () if session.quiet else vcpuids:
        say(f"vcpu {vcpuid} of {name}: {'stopped' if vcpuid in stopped else 'was down'}")
    session.say_notes(notes)
