# SPDX-License-Identifier: MIT
"""The command `xenvcpu` itself: its commands, its global options, and how it ends."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from xenvcpu import __version__
from xenvcpu.cli import exits
from xenvcpu.cli.main import PROGRAM, drop_unwritten
from xenvcpu.cli.options import Session, root_options
from xenvcpu.errors import XenVcpuError

COMMANDS = {
    "list": "The vcpus of domains, as `xl vcpu-list`, with mode and rip.",
    "show": "The registers of one vcpu.",
    "start": "Start vcpus at the state that a context file says.",
    "stop": "Take vcpus away.",
    "up": "Inside a guest: let vcpus that are initialised and down run on.",
    "recover": "Bring back what a start or stop that failed could not put back.",
    "check": "What Xen, and then the processor, will say to a context.",
    "preset": "The built-in contexts; one of them as a context file.",
    "encode": "A context file as the bytes of a C struct.",
    "decode": "The bytes of a C struct as a context file.",
    "import": "Registers that Xen, QEMU or xen-hvmctx has printed as a context file.",
    "libvirt": "Declared vcpus of the domains that libvirt runs.",
    "doctor": "What this machine can do, what is missing, how to get it.",
    "model": "Worlds of the model, kept in a file.",
    "xl": "Domains by xl, with their secondary vcpus.",
    "xapi": "The host plugin for XAPI.",
    "metrics": "Domains and vcpus for Prometheus.",
    "completion": "Completion for a shell.",
}
"""The commands, in the order of `--help`; each stands in `xenvcpu.cli.commands` under its name or that in `MODULES`."""
MODULES = {"import": "importing"}
"""Where the name is a word of Python's own."""

EPILOG = f"\b\nExit codes:\n{exits.table()}"


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"xenvcpu.cli.commands.{MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; one that is misspelt is told the right name."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            meant = f" Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, made without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments; `--help` prints here, and its reader may go away as any other's."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:
            drop_unwritten()
            raise click.exceptions.Exit(exits.Exit.UNREAD) from None

    def main(self, *args: Any, **extra: Any) -> Any:
        """Parse and run; a usage error is told as click does, or with `--json` before any `--` as a document."""
        given = args[0] if args else extra.get("args")
        words = list(sys.argv[1:] if given is None else given)
        if "--json" not in words[: words.index("--") if "--" in words else None]:
            return super().main(*args, **extra)
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.UsageError as error:
            from xenvcpu.cli.report import report_usage

            code = report_usage(error)
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of ours becomes a message and an exit code."""
        session = ctx.ensure_object(Session)
        try:
            return super().invoke(ctx)
        except XenVcpuError as error:
            from xenvcpu.cli.report import report

            ctx.exit(report(error, is_json=session.json))
        except KeyboardInterrupt as error:
            from xenvcpu.cli.report import report_interrupt

            ctx.exit(report_interrupt(error, is_json=session.json, done=session.done))
        except OSError as error:
            from xenvcpu.cli.report import report_os

            code = report_os(error, is_json=session.json, done=session.done)
            drop_unwritten()
            ctx.exit(code)


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name=PROGRAM)
@root_options
def root() -> None:
    """Start, inspect and stop the vcpus of Xen HVM and PVH guests.

    DOMAIN is a domid, a name or a UUID; inside a guest it is `self`. VCPUS is `2`,
    `1-3`, `1,5` or `all`. CONTEXT is a context file in TOML or JSON, `-` for stdin, or
    `preset:NAME`.
    """
