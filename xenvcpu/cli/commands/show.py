# SPDX-License-Identifier: MIT
"""`xenvcpu show`: the registers of one vcpu."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

import click

from xenvcpu.abi.cpu_record import GENERAL, SEGMENTS
from xenvcpu.abi.layout import Image
from xenvcpu.cli import vcpus
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_domain, global_options, pass_session, timeout_option
from xenvcpu.cli.output import print_json, say
from xenvcpu.contextfile import as_mapping, hexed
from xenvcpu.plaintext import plain
from xenvcpu.vcpustate import mode_name

_WIDTH = 104
"""Four registers a line; a narrower terminal gets fewer."""

_DIGITS, _GAP = 16, 2
_GROUPS = (
    (*GENERAL, "rip", "rflags"), ("cr0", "cr2", "cr3", "cr4"), ("dr0", "dr1", "dr2", "dr3", "dr6", "dr7"),
    ("msr_efer", "shadow_gs", "tsc", "msr_tsc_aux", "msr_star", "msr_lstar", "msr_cstar", "msr_syscall_mask"),
    ("sysenter_cs", "sysenter_esp", "sysenter_eip"), ("pending_event", "error_code", "flags"),
)


def _registers(record: Image, width: int) -> Iterator[str]:
    for group in _GROUPS:
        names = [name for name in group if name in record.values]
        wide = max(map(len, names))
        count = max(1, (width + _GAP) // (wide + _DIGITS + 1 + _GAP))
        for start in range(0, len(names), count):
            row = names[start : start + count]
            yield "  ".join(f"{name:<{wide}} {record[name]:0{2 * record.layout.fields[name].size}x}" for name in row)
        yield ""


def _segments(record: Image) -> Iterator[str]:
    yield "segment  sel   base              limit     attributes"
    for name in SEGMENTS:
        base, limit = record[f"{name}_base"], record[f"{name}_limit"]
        yield f"{name:<7}  {record[f'{name}_sel']:04x}  {base:016x}  {limit:08x}  {record[f'{name}_arbytes']:03x}"
    for name in ("gdtr", "idtr"):
        yield f"{name:<7}        {record[f'{name}_base']:016x}  {record[f'{name}_limit']:08x}"


@click.command("show", epilog=examples("xenvcpu show web 0"))
@click.argument("domain", shell_complete=complete_domain)
@click.argument("vcpu", callback=vcpus.parse_one)
@timeout_option
@global_options
@pass_session
def command(session: Session, domain: str, vcpu: int) -> None:
    """Show the registers of one vcpu that is up.

    Xen pauses that vcpu while it reads them; up to 4.11 it pauses the whole domain.

    What --json prints is a context file of format cpu_record: `start` takes it, and
    `encode` makes the record's bytes of it.
    """
    with session.open() as host:
        found = host.domain(domain)
        record = found.record(vcpu)
    title = f"vcpu {vcpu} of {found.name or 'domain'} ({found.domid}), {mode_name(record)}"
    if session.json:
        print_json({"description": title, **hexed(as_mapping(record))})
    else:
        width = min(_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH
        say("\n".join([plain(title), "", *_registers(record, width), *_segments(record)]))
