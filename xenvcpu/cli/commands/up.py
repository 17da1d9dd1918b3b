# SPDX-License-Identifier: MIT
"""`xenvcpu up`: let vcpus that are initialised and down run on."""

from __future__ import annotations

import click

from xenvcpu.cli import vcpus
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_domain, global_options, pass_session
from xenvcpu.cli.output import print_json, say
from xenvcpu.errors import HostError
from xenvcpu.guestdomain import GuestDomain


@click.command("up", epilog=examples("xenvcpu up self all"))
@click.argument("domain", shell_complete=complete_domain)
@click.argument("which", metavar="VCPUS", callback=vcpus.parse)
@global_options
@pass_session
def command(session: Session, domain: str, which: tuple[int, ...] | None) -> None:
    """Let vcpus run that are initialised and down; `all` is every one of them.

    Inside a guest only (DOMAIN is `self`), where a vcpu that was stopped, or whose start
    was cut off, stays initialised. It goes on from where it stands.
    """
    with session.open() as host:
        found = host.domain(domain)
        if not isinstance(found, GuestDomain):
            raise HostError("only a guest can do this to its own vcpus; from dom0, `xenvcpu start` gives a new state")
        initialised = (vcpu.vcpuid for vcpu in found.vcpus() if vcpu.is_initialised and not vcpu.is_online)
        came_up = found.up(tuple(initialised) if which is None else which)
        notes = session.notes_on(host) if came_up else ()
    if came_up:
        session.done = f"let {vcpus.named(came_up)} of self run on"
    if session.json:
        print_json({"domid": found.domid, "name": found.name, "up": list(came_up), "notes": list(notes)})
        return
    if not came_up and which is None and not session.quiet:
        say("no vcpu of self is initialised and down: nothing to let run")
    for vcpuid in () if session.quiet else (which or came_up):
        say(f"vcpu {vcpuid} of self: {'runs on' if vcpuid in came_up else 'ran already'}")
    session.say_notes(notes)
