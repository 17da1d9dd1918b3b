# SPDX-License-Identifier: MIT
"""`xenvcpu xapi`: the host plugin for XAPI."""

from __future__ import annotations

from pathlib import Path

import click

from xenvcpu.cli import removing
from xenvcpu.cli.examples import examples
from xenvcpu.cli.installing import served_host
from xenvcpu.cli.options import Session, complete_file, global_options, pass_session
from xenvcpu.cli.output import print_json, say
from xenvcpu.toolstacks.xapi import install as installing
from xenvcpu.toolstacks.xapi.plugin import FUNCTIONS

folder_option = click.option(
    "--folder", default=installing.FOLDER, show_default=True, shell_complete=complete_file, help="XAPI's plugins.",
)


@click.group("xapi")
@global_options
def command() -> None:
    """Have XAPI (XenServer, XCP-ng) call xenvcpu on its hosts."""


@command.command("install", short_help="Install the host plugin.", epilog=examples(
    "xenvcpu xapi install",
    "xe host-call-plugin host-uuid=$HOST plugin=xenvcpu fn=start \\\n"
    '  args:vm-uuid=$VM args:vcpus=1-3 args:context="$(cat ap.toml)"',
))
@folder_option
@global_options
@pass_session
def install(session: Session, folder: str) -> None:
    """Install the plugin `xenvcpu` on this host, in place of an older one.

    It offers list, show, start, stop and check. All arguments are texts; a VM is given by
    its UUID, and a context file by what it holds. What comes back is JSON, as the command
    of that name prints it; of a failure the last parameter is.
    """
    path, changed = installing.install(folder, served_host(session))
    if changed:
        session.done = f"wrote {path}"
    if session.json:
        print_json({"file": str(path), "changed": changed, "functions": list(FUNCTIONS)})
    elif not session.quiet:
        say(f"{path}: {'installed' if changed else 'was installed'}; XAPI finds it at once")


@command.command("remove", short_help="Take the host plugin away.", epilog=examples("xenvcpu xapi remove"))
@folder_option
@global_options
@pass_session
def remove(session: Session, folder: str) -> None:
    """Take away the plugin that `xenvcpu xapi install` has made."""
    removing.remove(session, Path(folder) / installing.NAME)
