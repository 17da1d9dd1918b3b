# SPDX-License-Identifier: MIT
"""`xenvcpu start`: bring vcpus up at the state that a context file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from xenvcpu import objections
from xenvcpu.allowances import Allowance
from xenvcpu.availability import note
from xenvcpu.cli import contexts, vcpus
from xenvcpu.cli.allowing import allow_options, refuse_force
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import (
    Session, change_options, complete_context, complete_domain, feature_options, global_options, pass_session,
    setting_option,
)
from xenvcpu.cli.output import print_json, say
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.execute import StartReport
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.guestplan import GuestPlan
from xenvcpu.newvcpu import in_words
from xenvcpu.plaintext import plain
from xenvcpu.plan import Plan


def _plan_lines(plan: Plan | GuestPlan) -> Iterator[str]:
    for number, step in enumerate(plan.steps(), 1):
        yield f"{number}. {step}"
    for vcpu in plan.as_dict()["vcpus"]:
        yield f"vcpu {vcpu['vcpuid']}: {vcpu['verdict']}"
        for finding in vcpu["findings"]:
            yield f"  {finding['level']} {finding['rule']}: {finding['message']}"


def _warn(report: StartReport) -> None:
    """What the rules found, on stderr, once for all vcpus that it is true of."""
    about: dict[str, list[int]] = {}
    for vcpuid, finding in report.findings:
        about.setdefault(f"{finding.level.value} {finding.rule}: {finding.message}", []).append(vcpuid)
    for text, vcpuids in about.items():
        click.echo(plain(f"xenvcpu: {vcpus.named(vcpuids)}: {text}"), err=True)


def _say_report(session: Session, name: str, report: StartReport, starts: Mapping[int, str]) -> None:
    if session.quiet:
        return
    _warn(report)
    for vcpuid in report.vcpuids:
        say(f"vcpu {vcpuid} of {name}: started, {starts[vcpuid]}")
    if report.is_paused:
        say(f"{name} is paused by somebody else: nothing of it runs until `xl unpause {report.domid}`")
    elif report.pause_seconds is not None:
        kept = f"{vcpus.named(report.kept)} went on; " if report.kept else ""
        say(f"{kept}the domain was paused for {report.pause_seconds * 1000:.1f} ms")


def _meant(domain: Dom0Domain | GuestDomain, which: tuple[int, ...] | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The vcpus to start, and what there is to say of those that the toolstack has offline."""
    asked = vcpus.secondary(domain.down_vcpus()) if which is None else which
    offline = domain.kept_offline(asked)
    meant = asked if which is not None else tuple(vcpuid for vcpuid in asked if vcpuid not in offline)
    return meant, note(offline, is_left=which is None)


def _say_nothing(session: Session, domain: Dom0Domain | GuestDomain, name: str, notes: tuple[str, ...]) -> None:
    """There is nothing to start."""
    if session.json:
        online = tuple(vcpu.vcpuid for vcpu in domain.vcpus() if vcpu.is_online)
        print_json({"name": domain.name, **StartReport(domain.domid, (), online, None, notes=notes).as_dict()})
    elif not session.quiet:
        state = "up, or left offline" if notes else "up"
        say(f"every vcpu of {name} but the boot vcpu is {state}: nothing to start")
        session.say_notes(notes)


@click.command("start", epilog=examples(
    "xenvcpu start web all ap.toml --dry-run",
    "xenvcpu start web 1-2 ap.toml",
    "xenvcpu start web 3 preset:flat32 --set eip=0x100000 --set esp=0x80000",
))
@click.argument("domain", shell_complete=complete_domain)
@click.argument("which", metavar="VCPUS", callback=vcpus.parse)
@click.argument("context", shell_complete=complete_context)
@setting_option
@click.option("--dry-run", is_flag=True, help="Print the plan and touch nothing.")
@allow_options(Allowance.DEVICE_ACCESS_LOSS, Allowance.UNBUILT, is_listed=True)
@feature_options
@change_options
@global_options
@pass_session
def command(
    session: Session, domain: str, which: tuple[int, ...] | None, context: str, settings: Mapping[str, str],
    dry_run: bool, force: bool,
) -> None:
    """Start vcpus that are down; `all` is every one that is, but the boot vcpu and those
    that the toolstack has offline (`vcpus` below `maxvcpus`, `xl vcpu-set`).

    From dom0 it is one load for all of them, with the other vcpus kept as they are; inside
    a guest (DOMAIN is `self`) it is VCPUOP_initialise and VCPUOP_up. It happens whole, or
    everything is put back.
    """
    template = contexts.read(context, settings)
    with session.open() as host:
        found = host.domain(domain)
        vcpuids, said = _meant(found, which)
        name = plain(found.name or f"domain {found.domid}")
        if not vcpuids:
            _say_nothing(session, found, name, said)
            return
        features, allow = session.features, session.allow
        if force:
            refuse_force(objections.to_start(found, vcpuids, template.render, features=features, allow=allow))
        if dry_run:
            plan = found.plan(vcpuids, template.render, features=features, allow=allow)
            if session.json:
                print_json({**plan.as_dict(), "notes": list(said)})
            else:
                say("\n".join(_plan_lines(plan)))
                session.say_notes(said)
            return
        report = found.start(vcpuids, template.render, features=features, allow=allow)
        notes = (*said, *session.notes_on(host))
    session.done = f"started {vcpus.named(report.vcpuids)} of {name}"
    if session.json:
        print_json({"name": found.name, **report.as_dict(), "notes": [*report.notes, *notes]})
    else:
        starts = {vcpuid: in_words(template.render(vcpuid), found.release) for vcpuid in report.vcpuids}
        _say_report(session, name, report, starts)
        session.say_notes(notes)
