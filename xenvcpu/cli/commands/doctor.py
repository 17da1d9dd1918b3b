# SPDX-License-Identifier: MIT
"""`xenvcpu doctor`: what this machine can do."""

from __future__ import annotations

import click

from xenvcpu.cli.examples import examples
from xenvcpu.cli.exits import Exit
from xenvcpu.cli.options import Session, global_options, pass_session
from xenvcpu.cli.output import print_json, print_table
from xenvcpu.doctor import MISSING, Check, examine
from xenvcpu.errors import HostError
from xenvcpu.host import open_host


def _examine(host: str) -> list[Check]:
    try:
        opened = open_host(host)
    except HostError:
        if host != "auto":
            raise
        return examine()
    with opened:
        return examine(opened)


@click.command("doctor", epilog=examples("xenvcpu doctor"))
@global_options
@pass_session
def command(session: Session) -> None:
    """Say what this machine can do, what is missing, and how to get it.

    Changes nothing. Exits 5 when something that is needed here is missing.
    """
    checks = _examine(session.host)
    if session.json:
        print_json({"checks": [check.as_dict() for check in checks]})
    else:
        print_table(("WHAT", "STATUS", "FOUND", "HOW TO GET IT"), [
            (check.name, check.status, check.detail, check.remedy) for check in checks
        ])
    if any(check.status == MISSING for check in checks):
        raise click.exceptions.Exit(Exit.HOST)
