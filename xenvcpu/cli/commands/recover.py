# SPDX-License-Identifier: MIT
"""`xenvcpu recover`: bring back what a start or stop that failed could not put back."""

from __future__ import annotations

import os
import time

import click

from xenvcpu import keptfile
from xenvcpu.cli import vcpus
from xenvcpu.cli.options import Session, change_options, complete_file, global_options, pass_session
from xenvcpu.cli.output import print_json, print_table, say
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DomainError, HostError, NoSuchDomainError
from xenvcpu.host import Host
from xenvcpu.keptfile import KeptFile
from xenvcpu.recoverplan import Recovered

HEADINGS = ("FILE", "UUID", "VERB", "VCPUS", "WHEN", "NOT PUT BACK")


def _list(session: Session, folder: str) -> None:
    found = [keptfile.read(path) for path in keptfile.kept(folder)]
    if session.json:
        print_json({
            "kept": [
                {
                    "file": each.path, "uuid": str(each.capture.handle), "verb": each.capture.verb,
                    "vcpus": list(each.capture.vcpuids), "at": each.at, "left": list(each.left),
                }
                for each in found
            ],
        })
    elif found:
        print_table(HEADINGS, [
            (
                each.path, each.capture.handle, each.capture.verb, vcpus.show(each.capture.vcpuids),
                time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(each.at)), "; ".join(each.left),
            )
            for each in found
        ])
    elif not session.quiet:
        say("nothing is kept: every start and stop was whole, or was put back")


def _domain(host: Host, kept: KeptFile) -> Dom0Domain:
    try:
        found = host.domain(str(kept.capture.handle))
    except NoSuchDomainError as error:
        raise DomainError(
            f"domain {kept.capture.handle} is gone: there is nothing to bring back; remove {kept.path}"
        ) from error
    if not isinstance(found, Dom0Domain):
        raise HostError("a domain is recovered from dom0")
    return found


def _say(done: Recovered, *, is_plan: bool) -> None:
    verb = "would be" if is_plan else "was"
    for what, which in (("brought back as captured", done.brought_back), ("made fresh", done.made_fresh)):
        for vcpuid in which:
            say(f"vcpu {vcpuid} {verb} {what}")
    if not any(done):
        say("every vcpu is as it was: nothing to bring back")


@click.command("recover")
@click.argument("file", required=False, shell_complete=complete_file)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and touch nothing.")
@click.option("--force", is_flag=True, help="Accept that memory types of running vcpus change (AMD).")
@change_options
@global_options
@pass_session
def command(session: Session, file: str | None, dry_run: bool, force: bool) -> None:
    """Bring a domain back from FILE, which a failed start or stop has named; without FILE, list what is kept.

    A vcpu that runs goes on as it is. One that ran before and is down now gets its captured
    state; one that the failed start had brought up is made fresh. FILE is removed then.
    """
    with session.open() as host:
        if file is None:
            _list(session, host.folders.kept)
            return
        kept = keptfile.read(file)
        domain = _domain(host, kept)
        done = domain.plan_recovery(kept.capture) if dry_run else domain.recover(kept.capture, force=force)
    if not dry_run:
        os.unlink(file)
    if session.json:
        print_json({
            "domid": domain.domid, "name": domain.name, "dry_run": dry_run, "brought_back": list(done.brought_back),
            "made_fresh": list(done.made_fresh),
        })
    elif not session.quiet:
        _say(done, is_plan=dry_run)
