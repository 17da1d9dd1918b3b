# SPDX-License-Identifier: MIT
"""`xenvcpu completion`: what a shell needs to complete our command lines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from xenvcpu.cli.examples import examples
from xenvcpu.cli.main import COMPLETING, PROGRAM


@click.command("completion", epilog=examples(
    "xenvcpu completion bash > ~/.local/share/bash-completion/completions/xenvcpu",
    "xenvcpu completion zsh > ~/.zfunc/_xenvcpu",
    "xenvcpu completion fish > ~/.config/fish/completions/xenvcpu.fish",
))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell; that of zsh goes into a folder of $fpath."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root().command
    click.echo(kind(root, {}, PROGRAM, COMPLETING).source())
