# SPDX-License-Identifier: MIT
"""`xenvcpu check`: what Xen, and then the processor, will say to a context."""

from __future__ import annotations

from collections.abc import Mapping
import click

from xenvcpu.cli import contexts, judging
from xenvcpu.cli.examples import examples
from xenvcpu.cli.exits import Exit
from xenvcpu.cli.judging import Question
from xenvcpu.cli.options import (
    Session, complete_context, complete_domain, feature_options, global_options, pass_session, releases,
    setting_option, vcpu_option,
)
from xenvcpu.cli.output import print_json, print_table, say
from xenvcpu.contextfile.source import STDIN
from xenvcpu.failuretext import finding_lines
from xenvcpu.rules.features import Interface
from xenvcpu.rules.release import Release
from xenvcpu.rules.verdict import Verdict

ACCEPTED = "accepted"


def _say_verdict(name: str, verdict: Verdict, interface: Interface, release: Release) -> None:
    errno = f" ({verdict.errno})" if verdict.errno else ""
    note = "" if release.is_known else "; this release is newer than the rules, which are those of the newest known"
    say(f"{name}: {verdict.verdict}{errno} by Xen {release} through {interface.value}{note}")
    for line in finding_lines(verdict):
        say(f"  {line}")


def _judge_file(session: Session, context: str, settings: Mapping[str, str], question: Question) -> bool:
    """Judge and print; whether every release accepts it."""
    value = contexts.read(context, settings).render(question.vcpuid)
    interface, said = judging.verdicts(value, question)
    if session.json:
        xen = {"xen": str(said[0][0])} if len(said) == 1 else {}
        head = {"context": context, "interface": interface.value, "vcpu": question.vcpuid, **xen}
        print_json({**head, **judging.as_dict(said)})
    elif len(said) == 1:
        _say_verdict(context, said[0][1], interface, said[0][0])
    else:
        rows = [(release, v.verdict, v.errno, ", ".join(f.rule for f in v.findings)) for release, v in said]
        print_table(("XEN", "VERDICT", "ERRNO", "RULES"), rows)
    return all(verdict.verdict == ACCEPTED for _, verdict in said)


def _releases(context: click.Context, option: click.Parameter, text: str | None) -> tuple[Release, ...] | None:
    return None if text is None else releases(context, option, text)


@click.command("check", epilog=examples(
    "xenvcpu check ap.toml",
    "xenvcpu check ap.toml --xen all --interface domctl",
    "xenvcpu check ap.toml --domain web",
    "xenvcpu check ap.toml --set cr4=0x8000    # exits 3",
))
@click.argument("context", shell_complete=complete_context)
@click.option("--jsonl", is_flag=True, help="CONTEXT is `-`: one JSON object a line in, one verdict a line out.")
@click.option(
    "--xen", "judges", callback=_releases, metavar="RELEASE",
    help="4.17, 4.17.3, staging, or all.  [default: that of --host where given, else the newest]",
)
@click.option(
    "--interface", type=click.Choice([interface.value for interface in Interface]),
    help="Who starts it: the guest (vcpuop) or dom0 (domctl).  [default: vcpuop where that can carry it]",
)
@click.option(
    "--domain", metavar="DOMAIN", shell_complete=complete_domain,
    help="Judge as a start in this domain does: by its CPU policy, its Xen and the interface there.",
)
@vcpu_option
@setting_option
@feature_options
@global_options
@pass_session
def command(
    session: Session, context: str, jsonl: bool, judges: tuple[Release, ...] | None, interface: str | None, vcpu: int,
    settings: Mapping[str, str], domain: str | None,
) -> None:
    """Judge a context by the rules of a Xen release and of the processor.

    Exits 3 when it is rejected (Xen refuses it) or fatal (Xen takes it, the guest
    crashes).

    With --domain, --cr4-valid and the other options for masks narrow the domain's own CPU
    policy; they cannot widen it, for Xen goes by its own. `xenvcpu show --policy` prints it.

    With --jsonl every line of stdin is {"bytes": HEX} (a struct vcpu_hvm_context, or for
    domctl a CPU record) or {"context": {...}} (the keys of a context file); a bad line
    gives {"error": ...} in its place, and the command exits 1 at the end.
    """
    features = session.features
    if judges is None or domain is not None:
        release, features, usual = session.judged_by(domain)
        judges, interface = judges or (release,), interface or usual
    wanted = None if interface is None else Interface(interface)
    question = Question(wanted, judges, features, vcpu)
    if jsonl:
        if context != STDIN or settings:
            raise click.UsageError("--jsonl reads stdin: give - as CONTEXT, and no --set")
        from xenvcpu.cli.jsonl import judge_lines

        if not judge_lines(question):
            raise click.exceptions.Exit(Exit.FAILED)
    elif not _judge_file(session, context, settings, question):
        raise click.exceptions.Exit(Exit.REFUSED)
