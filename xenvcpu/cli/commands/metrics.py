# SPDX-License-Identifier: MIT
"""`xenvcpu metrics`: domains and vcpus for Prometheus."""

from __future__ import annotations

import click

from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_file, global_options, pass_session, timeout_option
from xenvcpu.cli.output import print_json
from xenvcpu.toolstacks import atomicfile
from xenvcpu.toolstacks.metrics import collect, render


@click.command("metrics", epilog=examples(
    "xenvcpu metrics --output /var/lib/node_exporter/xenvcpu.prom    # from a timer, for its textfile collector",
))
@click.option(
    "--output", metavar="FILE", shell_complete=complete_file,
    help="Replace this file as a whole (mode 0644); node_exporter reads *.prom in its textfile folder.",
)
@click.option("--domains-only", is_flag=True, help="Do not ask for each vcpu: one call for 256 domains.")
@timeout_option
@global_options
@pass_session
def command(session: Session, output: str | None, domains_only: bool) -> None:
    """Print metrics of all domains and their vcpus in Prometheus' text format.

    No guest is paused for it: registers are not among the metrics, since to read them
    Xen pauses the vcpu.
    """
    with session.open() as host:
        families = collect(host, has_vcpus=not domains_only)
    text = render(families)
    if output is not None:
        atomicfile.write(output, text)
        session.done = f"wrote {output}"
    if session.json:
        print_json({"output": output, "metrics": [family.as_dict() for family in families]})
    elif output is None:
        click.echo(text, nl=False)
