# SPDX-License-Identifier: MIT
"""`xenvcpu model`: worlds of the model, kept in a file."""

from __future__ import annotations

from pathlib import Path

import click

from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_file, global_options, one_release, pass_session
from xenvcpu.cli.output import print_json, print_table, say
from xenvcpu.model import worldfile, worlds
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor

DEFAULT_XEN = "4.17"
_HEADINGS = ("NAME", "ID", "KIND", "VCPUS", "UP", "STATE", "UUID")


def _domains(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    """Each NAME:VCPUS."""
    found = []
    for text in texts:
        name, _, count = text.rpartition(":")
        if not name or not (count.isascii() and count.isdigit()) or len(count) > 4:
            raise click.BadParameter(f"{text!r} is not NAME:VCPUS")
        found.append((name, int(count)))
    return tuple(found)


def _state(domain: Domain) -> str:
    states = {"dying": domain.is_dying, "shut down": domain.shutdown is not None, "paused": domain.pause_count}
    return ", ".join(state for state, is_so in states.items() if is_so) or "running"


def _as_dict(host: Hypervisor) -> dict[str, object]:
    return {
        "xen": str(host.release), "vendor": host.vendor, "console": host.console.text.splitlines(),
        "domains": [
            {
                "name": domain.name, "domid": domain.domid, "uuid": str(domain.handle), "kind": domain.kind.value,
                "vcpus": len(domain.vcpus), "up": [vcpu.vcpuid for vcpu in domain.vcpus if not vcpu.is_down],
                "state": _state(domain),
            }
            for domain in host.domains.values()
        ],
    }


@click.group("model")
@global_options
def command() -> None:
    """Keep a model of Xen in a file, and use it with --host model:FILE.

    There are worlds that need no file too: --host model:pvh, and those that `xenvcpu
    model worlds` names. Each command has one of its own, and what it changes there is
    forgotten when it ends; a file of the same name is --host model:./pvh.
    """


@command.command("new", short_help="Make a world: a host with some domains.", epilog=examples(
    "xenvcpu model new demo.json --domain web:4 --domain db:2 --xen 4.17",
    "xenvcpu --host model:demo.json list",
))
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--domain", "domains", callback=_domains, multiple=True, metavar="NAME:VCPUS", help="A PVH domain. Repeatable.",
)
@click.option("--world", type=click.Choice(worlds.NAMES), help="Begin with a built-in world instead.")
@click.option(
    "--xen", "release", callback=one_release, metavar="RELEASE",
    help=f"The Xen of that host.  [default: {DEFAULT_XEN}, or the world's own]",
)
@global_options
@pass_session
def new(
    session: Session, file: str, domains: tuple[tuple[str, int], ...], world: str | None, release: str | None
) -> None:
    """Make a world: a host with the domains given, one `web` with 4 vcpus if none is."""
    if domains and world:
        raise click.UsageError("--domain and --world exclude each other")
    if world is None:
        host = worldfile.new(file, release or DEFAULT_XEN, domains or (("web", 4),))
    elif Path(file).exists():
        raise click.UsageError(f"{file} exists")
    else:
        host = worlds.builtin(world, release)
        worldfile.save(host, file)
    session.done = f"made {file}"
    if session.json:
        print_json({"file": file, **_as_dict(host)})
    elif not session.quiet:
        names = ", ".join(domain.name for domain in host.domains.values())
        # The built-in world has the name before a file has it.
        spec = f"./{file}" if file in worlds.NAMES else file
        say(f"{file}: Xen {host.release} with {names}; use it with --host model:{spec}")


@command.command(
    "show", short_help="Show a world: its domains and Xen's console.", epilog=examples("xenvcpu model show pvh")
)
@click.argument("file", shell_complete=complete_file)
@global_options
@pass_session
def show(session: Session, file: str) -> None:
    """Show a world file, or a built-in world: its domains and Xen's console."""
    host = worlds.builtin(file) if file in worlds.NAMES else worldfile.load(file)
    data = _as_dict(host)
    if session.json:
        print_json({"file": file, **data})
        return
    say(f"Xen {host.release}, {host.vendor}")
    print_table(_HEADINGS, [
        (
            domain.name, domain.domid, domain.kind.value, len(domain.vcpus),
            sum(not vcpu.is_down for vcpu in domain.vcpus), _state(domain), domain.handle,
        )
        for domain in host.domains.values()
    ])
    for line in host.console.text.splitlines():
        say(line)


@command.command("worlds", epilog=examples("xenvcpu model worlds"))
@global_options
@pass_session
def list_worlds(session: Session) -> None:
    """List the built-in worlds."""
    rows = [(name, (world.__doc__ or "").strip()) for name, world in worlds.WORLDS.items()]
    if session.json:
        print_json({"worlds": [{"name": name, "description": about} for name, about in rows]})
    else:
        print_table(("NAME", "WHAT IT IS"), rows)
