# SPDX-License-Identifier: MIT
"""`xenvcpu libvirt`: declared vcpus of the domains that libvirt runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import click

from xenvcpu.allowances import Allowance
from xenvcpu.cli.allowing import allow_options
from xenvcpu.cli.commands.libvirtinstall import install_hook, install_service, remove_hook, remove_service
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import (
    Session, complete_file, complete_libvirt_domain, global_options, pass_session, setting_option, timeout_option,
)
from xenvcpu.cli.output import print_json, say
from xenvcpu.cli.vcpus import named
from xenvcpu.cli.vcpus import parse as parse_vcpus
from xenvcpu.errors import DomainError

# libvirt-python is imported when a command needs it.
if TYPE_CHECKING:
    from uuid import UUID

    from xenvcpu.toolstacks.applying import Change
    from xenvcpu.toolstacks.declaration import Declaration

connect_option = click.option(
    "-c", "--connect", "uri", metavar="URI", help="libvirt's, such as xen:///system.  [default: libvirt's own choice]",
)
live_option = click.option("--live", is_flag=True, help="The domain as it runs.  [default: both, where they are]")
config_option = click.option("--config", is_flag=True, help="Its definition, which the next start goes by.")


@click.group("libvirt")
@global_options
def command() -> None:
    """Declare how vcpus start in a domain's XML, and have it done.

    A declaration lies in the domain's <metadata>. The hook (install-hook) or the service
    (install-service) acts on it whenever the domain boots; `xenvcpu libvirt start` starts
    the domain so that nothing of it runs before its vcpus are in place.
    """


def _checked_vcpus(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    if text is not None:
        parse_vcpus(context, option, text)
    return text


@command.command(
    "set", short_help="Declare how a domain's vcpus start.",
    epilog=examples("xenvcpu libvirt set web web.toml", "xenvcpu libvirt set web ap.toml --vcpus 1-3"),
)
@click.argument("domain", shell_complete=complete_libvirt_domain)
@click.argument("file", shell_complete=complete_file)
@click.option("--vcpus", callback=_checked_vcpus, metavar="VCPUS", help="Which vcpus.  [default: as in FILE, or all]")
@click.option("--reset", is_flag=True, help="Stop those that run first, when it is applied by hand.")
@allow_options()
@setting_option
@live_option
@config_option
@connect_option
@global_options
@pass_session
def set_command(
    session: Session, domain: str, file: str, vcpus: str | None, reset: bool, settings: Mapping[str, str],
    live: bool, config: bool, uri: str | None,
) -> None:
    """Write the declaration in FILE into the domain's XML; a context file declares every vcpu.

    Nothing is started by that; but a context that no release of Xen would take, or with
    which the guest would crash, is refused now, with 3.
    """
    from xenvcpu.toolstacks import declaration
    from xenvcpu.toolstacks.startable import require_startable

    declared = declaration.override(declaration.read(file), vcpus, settings, reset)
    require_startable(declared, session.allow)
    _declare(session, domain, declared, live, config, uri)


@command.command("remove", short_help="Take a declaration away.", epilog=examples("xenvcpu libvirt remove web"))
@click.argument("domain", shell_complete=complete_libvirt_domain)
@live_option
@config_option
@connect_option
@global_options
@pass_session
def remove(session: Session, domain: str, live: bool, config: bool, uri: str | None) -> None:
    """Take the declaration out of the domain's XML. Nothing is stopped by that."""
    _declare(session, domain, None, live, config, uri)


def _declare(
    session: Session, which: str, declared: Declaration | None, live: bool, config: bool, uri: str | None
) -> None:
    from xenvcpu.toolstacks.libvirt.connection import Connection

    with Connection(uri) as connection:
        domain = connection.domain(which)
        flags = domain.scopes(live=live, config=config)
        changed = domain.declare(declared, flags)
    if changed:
        session.done = f"changed the declaration of {domain.name}"
    if session.json:
        print_json({"name": domain.name, "uuid": str(domain.uuid), "changed": list(changed)})
    elif not session.quiet:
        what = "declaration removed" if declared is None else f"vcpus {declared.vcpus} declared"
        says = f"{what} ({', '.join(changed)})" if changed else "as it was"
        say(f"{domain.name}: {says}")


@command.command("get", short_help="Show a declaration.", epilog=examples("xenvcpu libvirt get web"))
@click.argument("domain", shell_complete=complete_libvirt_domain)
@live_option
@config_option
@connect_option
@global_options
@pass_session
def get(session: Session, domain: str, live: bool, config: bool, uri: str | None) -> None:
    """Print the domain's declaration as a file that `set` reads; of a domain that runs, the live one."""
    from xenvcpu.toolstacks.libvirt.connection import Connection

    if live and config:
        raise click.UsageError("--live and --config exclude each other")
    with Connection(uri) as connection:
        found = connection.domain(domain)
        declared = found.declaration(next(iter(found.scopes(live=live, config=config).values())))
    if declared is None:
        raise DomainError(f"{found.name} declares nothing")
    data = declared.as_dict()
    if session.json:
        print_json({"name": found.name, "uuid": str(found.uuid), "declaration": data})
    else:
        click.echo(json.dumps(data, indent=2))


@command.command(
    "start", short_help="Start a domain with its declared vcpus in place.",
    epilog=examples("xenvcpu libvirt start web"),
)
@click.argument("domain", shell_complete=complete_libvirt_domain)
@allow_options(Allowance.FIRMWARE)
@timeout_option
@connect_option
@global_options
@pass_session
def start(session: Session, domain: str, uri: str | None) -> None:
    """Start a domain paused, load its declared vcpus, and let it run.

    Nothing of it runs early. If it cannot be done the domain does not run at all. An HVM
    guest is refused: hvmloader starts its vcpus itself.
    """
    from xenvcpu.toolstacks.libvirt.connection import Connection
    from xenvcpu.toolstacks.libvirt.start import start as start_domain

    with Connection(uri) as connection:
        change = start_domain(connection, domain, session.open, allow=session.allow)
    session.done = f"started {change.name}, with {named(change.vcpuids)} in place"
    if session.json:
        print_json(change.as_dict())
    elif not session.quiet:
        say(f"{change.name}: runs, with {named(change.vcpuids)} in place")
        session.say_notes(change.notes)


@command.command(
    "watch", short_help="Start declared vcpus whenever a domain boots.",
    epilog=examples("xenvcpu libvirt watch", "xenvcpu libvirt watch --no-running"),
)
@click.option(
    "--running/--no-running", default=True, show_default=True,
    help="Also of domains that run already when it connects, unless a declared vcpu has begun.",
)
@connect_option
@global_options
@pass_session
def watch(session: Session, running: bool, uri: str | None) -> None:
    """Listen to libvirt, and start the declared vcpus of each domain that boots, until SIGTERM.

    Domains that booted while it was not connected are looked at when it is again. What fails
    is tried again, ten times within about five minutes.
    """
    from xenvcpu.toolstacks.libvirt import begin
    from xenvcpu.toolstacks.libvirt.log import Log
    from xenvcpu.toolstacks.libvirt.watch import IDENT, Watcher, stopped_by_signals

    session.timeout = session.timeout or begin.WATCH_PATIENCE

    def act(handle: UUID, declared: Declaration) -> Change | None:
        with session.open() as host:
            return begin.begin(host, handle, declared)

    with closing(Watcher(uri, act, Log(IDENT), with_running=running)) as watcher, stopped_by_signals(watcher):
        watcher.run()


for installing in (install_hook, remove_hook, install_service, remove_service):
    command.add_command(installing)
