# SPDX-License-Identifier: MIT
"""What the command installs on a host for another program: for which host, and where."""

from __future__ import annotations

import click

from xenvcpu.cli.options import ANYWHERE, Session

FOLDER = "folder"
_THIS_MACHINE = "dom0"


def served_host(session: Session) -> str:
    """The `--host` spec for what is installed: dom0, unless one is given.

    Raises:
        click.UsageError: A model, in the folder where this machine's own toolstack would find it.
    """
    host = _THIS_MACHINE if session.host == ANYWHERE else session.host
    source = click.get_current_context().get_parameter_source(FOLDER)
    if host != _THIS_MACHINE and source is click.core.ParameterSource.DEFAULT:
        raise click.UsageError(
            f"this machine's own toolstack would use it for {host}: give another folder with --{FOLDER}, or leave out"
            " --host (and XENVCPU_HOST)"
        )
    return host
