# SPDX-License-Identifier: MIT
"""`xenvcpu recover`: bring back what a start or stop that failed could not put back."""

from __future__ import annotations

import os
import time
from typing import Any

import click

from xenvcpu import keptfile
from xenvcpu.allowances import Allowance
from xenvcpu.cli import vcpus
from xenvcpu.cli.allowing import allow_options
from xenvcpu.cli.examples import examples
from xenvcpu.cli.main import PROGRAM
from xenvcpu.cli.options import Session, change_options, complete_file, global_options, pass_session
from xenvcpu.cli.output import print_json, print_table, say
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import DomainError, FormatError, HostError, NoSuchDomainError
from xenvcpu.host import Host
from xenvcpu.keptfile import KeptFile
from xenvcpu.recoverplan import Recovered

HEADINGS = ("FILE", "UUID", "VERB", "VCPUS", "WHEN", "NOT PUT BACK")


def _list(session: Session, folder: str) -> None:
    found: list[KeptFile] = []
    damaged: list[str] = []
    for path in keptfile.kept(folder):
        try:
            found.append(keptfile.read(path))
        except (FormatError, HostError) as error:
            damaged.append(str(error))
    if session.json:
        print_json({"kept": [_as_dict(each) for each in found], "damaged": damaged})
        return
    if found:
        print_table(HEADINGS, [_row(each) for each in found])
    elif not damaged and not session.quiet:
        say("nothing is kept")
    for text in damaged:
        say(f"{PROGRAM}: {text}", err=True)


def _as_dict(kept: KeptFile) -> dict[str, Any]:
    capture = kept.capture
    return {
        "file": kept.path, "domid": capture.domid, "uuid": str(capture.handle), "verb": capture.verb,
        "vcpus": list(capture.vcpuids), "at": kept.at, "left": list(kept.left.lines),
    }


def _row(kept: KeptFile) -> tuple[object, ...]:
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(kept.at))
    capture = kept.capture
    return kept.path, capture.handle, capture.verb, vcpus.show(capture.vcpuids), when, "; ".join(kept.left.lines)


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


def _say(done: Recovered, kept: KeptFile, *, is_plan: bool) -> None:
    verb = "would be" if is_plan else "was"
    for what, which in (("brought back as captured", done.brought_back), ("made fresh", done.made_fresh)):
        for vcpuid in which:
            say(f"vcpu {vcpuid} {verb} {what}")
    if not any(done):
        say("every vcpu that was lost runs again: nothing to bring back")
    for line in kept.left.other:
        say(f"cannot be brought back: {line}")
    if kept.left.other and not is_plan:
        say(f"the file stays; when you have seen to the rest, remove {kept.path}")


@click.command("recover", epilog=examples("xenvcpu recover"))
@click.argument("file", required=False, shell_complete=complete_file)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and touch nothing.")
@allow_options(Allowance.UNSEEN, Allowance.DEVICE_ACCESS_LOSS, Allowance.UNBUILT)
@change_options
@global_options
@pass_session
def command(session: Session, file: str | None, dry_run: bool) -> None:
    """Bring a domain back from FILE, which a failed start or stop has named; without FILE, list what is kept.

    A vcpu that was lost and is down gets its captured state; one that the failed start had
    brought up is made fresh; every other one goes on as it is. FILE is removed then.
    """
    with session.open() as host:
        if file is None:
            _list(session, host.folders.kept)
            return
        kept = keptfile.read(file)
        domain = _domain(host, kept)
        done = (domain.plan_recovery if dry_run else domain.recover)(kept, allow=session.allow)
    if not dry_run and not kept.left.other:
        os.unlink(file)
    if not dry_run:
        session.done = f"recovered domain {domain.domid}"
    if session.json:
        print_json({
            "domid": domain.domid, "name": domain.name, "dry_run": dry_run, "brought_back": list(done.brought_back),
            "made_fresh": list(done.made_fresh), "not_brought_back": list(kept.left.other),
        })
    elif not session.quiet:
        _say(done, kept, is_plan=dry_run)
