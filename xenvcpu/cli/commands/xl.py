# SPDX-License-Identifier: MIT
"""`xenvcpu xl`: domains by xl, with their secondary vcpus."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import click

from xenvcpu.allowances import Allowance
from xenvcpu.availability import note
from xenvcpu.cli import vcpus
from xenvcpu.cli.allowing import allow_options
from xenvcpu.cli.contexts import PRESET
from xenvcpu.cli.examples import examples
from xenvcpu.cli.exits import Exit
from xenvcpu.cli.main import drop_unwritten
from xenvcpu.cli.options import (
    Session, change_options, complete_context, complete_file, feature_options, global_options, pass_session,
    setting_option,
)
from xenvcpu.cli.output import print_json, say
from xenvcpu.cli.report import report
from xenvcpu.errors import XenVcpuError
from xenvcpu.failuretext import finding_lines
from xenvcpu.newvcpu import NewVcpu
from xenvcpu.toolstacks import declaration
from xenvcpu.toolstacks.declaration import Declaration
from xenvcpu.toolstacks.xl import PAUSED, PROGRAM, Config, Xl, is_paused
from xenvcpu.toolstacks.xlcreate import Created, OnFailure, Wish, create, foresee
from xenvcpu.vcpustate import mode_name

XL_MANNER = "--xl"


class XlCommand(click.Command):
    """A command that with `--xl` ends as xl does, with 0 or 1."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments; what is wrong with them is 1 too."""
        is_in_xl_manner = XL_MANNER in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if is_in_xl_manner:
                error.exit_code = Exit.FAILED  # type: ignore[misc]  # of this one error, not of all
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except XenVcpuError as error:
            if not ctx.params["xl_manner"]:
                raise
            report(error, is_json=ctx.ensure_object(Session).json)
            ctx.exit(Exit.FAILED)
        except OSError:
            if not (ctx.params["xl_manner"] and ctx.ensure_object(Session).done):
                raise
            drop_unwritten()  # the domain is there, and runs


def _declared(context: str, which: str | None, settings: Mapping[str, str]) -> Declaration:
    if context.startswith(PRESET):
        found = Declaration(json.dumps({"preset": context[len(PRESET) :]}), name=context)
    else:
        found = declaration.read(context)
    return declaration.override(found, which, settings)


def _which(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    if text is not None:
        vcpus.parse(context, option, text)
    return text


def _steps(config: Config, loaded: tuple[NewVcpu, ...], wish: Wish) -> Iterator[str]:
    # As they would be typed, with nothing in them that a shell would read otherwise.
    yield shlex.join((PROGRAM, "create", PAUSED, "-f", wish.path, *wish.options))
    if loaded:
        which = vcpus.named(vcpu.vcpuid for vcpu in loaded)
        yield f"load {which}, all in one call; on failure: {wish.on_failure.value}"
    if not is_paused(wish.options):
        yield shlex.join((PROGRAM, "unpause", config.name))


def _foretell(session: Session, config: Config, loaded: tuple[NewVcpu, ...], wish: Wish) -> None:
    steps, declared = list(_steps(config, loaded, wish)), wish.declaration
    which = range(1, config.vcpus or 0) if declared.is_of_all else [vcpu.vcpuid for vcpu in loaded]
    notes = note(config.configured.kept_offline(which), is_left=declared.is_of_all)
    if session.json:
        judged = [{"vcpuid": vcpu.vcpuid, **vcpu.verdict.as_dict()} for vcpu in loaded]
        print_json({"name": config.name, "type": config.kind, "steps": steps, "vcpus": judged, "notes": list(notes)})
        return
    for number, step in enumerate(steps, 1):
        say(f"{number}. {step}")
    session.say_notes(notes)
    for vcpu in loaded:
        say(f"vcpu {vcpu.vcpuid}: {vcpu.verdict.verdict}, {mode_name(vcpu.record)} at {vcpu.record['rip']:#x}")
        for line in finding_lines(vcpu.verdict):
            say(f"  {line}")


def _tell(created: Created) -> None:
    started = () if created.report is None else created.report.vcpuids
    which = f"{vcpus.named(started)} started" if started else "none started" if created.offline else "it has one vcpu"
    say(f"domain {created.name} (domid {created.domid}): {which}{', left paused' if created.is_paused else ''}")


@click.group("xl")
@global_options
def command() -> None:
    """Use xl, the toolstack's own command."""


@command.command(
    "create", cls=XlCommand, short_help="Create a domain, with its secondary vcpus started.",
    epilog=examples(
        "xenvcpu xl create web.cfg ap.toml --dry-run",
        "xenvcpu xl create web.cfg ap.toml --vcpus 1-3 -- -q 'name=\"web2\"'",
    ),
)
@click.argument("config", type=click.Path(dir_okay=False), shell_complete=complete_file)
@click.argument("context", shell_complete=complete_context)
@click.argument("options", nargs=-1, metavar="[-- XL_OPTION...]")
@click.option("--vcpus", "which", callback=_which, metavar="VCPUS", help="Which vcpus.  [default: all but vcpu 0]")
@setting_option
@click.option(
    "--on-failure", type=click.Choice([each.value for each in OnFailure]), default=OnFailure.DESTROY.value,
    show_default=True, help="What becomes of the new domain if its vcpus cannot be loaded.",
)
@click.option("--dry-run", is_flag=True, help="Judge all, print what would be done, and create nothing.")
@allow_options(Allowance.FIRMWARE)
@click.option(XL_MANNER, "xl_manner", is_flag=True, help="Print what xl prints and no more; end with 0 or 1.")
@feature_options
@change_options
@global_options
@pass_session
def create_command(
    session: Session, config: str, context: str, options: tuple[str, ...], which: str | None,
    settings: Mapping[str, str], on_failure: str, dry_run: bool, xl_manner: bool,
) -> None:
    """Create a domain with `xl create -p CONFIG XL_OPTION...`, load its secondary vcpus, and
    let it run with `xl unpause`.

    CONTEXT is a context file, or a declaration that says which vcpus too. Options of xl and
    KEY=VALUE stand behind `--`; with -p among them the domain stays paused. What can be
    judged is judged before the domain is created. If the load fails all the same, the
    domain is destroyed, as xl does with one that it cannot finish.

    A guest that reboots is made anew by xl, without its secondary vcpus: say
    on_reboot = "destroy" in CONFIG and create it again.
    """
    declared = _declared(context, which, settings)
    wish = Wish(config, declared, options, OnFailure(on_failure), session.features, session.allow)
    with session.open() as host:
        if dry_run:
            _foretell(session, *foresee(host, Xl(), wish), wish)
            return
        created = create(host, Xl(), wish)
    session.done = f"created domain {created.name} (domid {created.domid})"
    if session.json:
        print_json(created.as_dict())
        return
    for line in () if session.quiet else created.notes.splitlines():
        say(line, err=True)
    if not xl_manner and not session.quiet:
        _tell(created)
        session.say_notes(created.remarks)
