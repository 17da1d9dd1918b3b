# SPDX-License-Identifier: MIT
"""`xenvcpu show`: the registers of one vcpu."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import click

from xenvcpu.abi.cpu_record import GENERAL, SEGMENTS
from xenvcpu.abi.layout import Image
from xenvcpu.cli import vcpus
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, complete_domain, global_options, pass_session, timeout_option
from xenvcpu.cli.output import print_json, say
from xenvcpu.contextfile import as_mapping, hexed
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import HostError
from xenvcpu.plaintext import plain
from xenvcpu.rules.control import CR4_BITS, EFER_BITS
from xenvcpu.vcpustate import mode_name

_WIDTH = 104
"""Four registers a line; a narrower terminal gets fewer."""

_DIGITS, _GAP = 16, 2
UNKNOWN = "unknown"
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


def _policy(domain: Dom0Domain) -> dict[str, Any]:
    """What the domain may set, as `--policy --json` prints it; None is unknown."""
    may = domain.policy()
    registers = {
        name: None if mask is None else {"mask": hex(mask), "bits": [bit.name for bit in bits if mask & bit.mask]}
        for name, mask, bits in (("cr4", may.cr4_valid, CR4_BITS), ("efer", may.efer_valid, EFER_BITS))
    }
    paging = None if domain.info.is_hap is None else "hap" if domain.info.is_hap else "shadow"
    return {
        "name": domain.name, "domid": domain.domid, **registers, "maxphysaddr": may.maxphysaddr, "paging": paging,
        "vendor": may.vendor,
    }


def _policy_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"what the vcpus of {found['name'] or 'domain'} ({found['domid']}) may set"
    yield ""
    for name in ("cr4", "efer"):
        register = found[name]
        shown = " ".join((register["mask"], "", *register["bits"])) if register else UNKNOWN
        yield f"{name:<11}  {shown}"
    for name in ("maxphysaddr", "paging", "vendor"):
        yield f"{name:<11}  {found[name] or UNKNOWN}"


def _vcpu(context: click.Context, argument: click.Parameter, text: str | None) -> int | None:
    return None if text is None else vcpus.parse_one(context, argument, text)


@click.command("show", epilog=examples("xenvcpu show web 0", "xenvcpu show web --policy"))
@click.argument("domain", shell_complete=complete_domain)
@click.argument("vcpu", required=False, callback=_vcpu)
@click.option("--policy", is_flag=True, help="Show what the domain's vcpus may set, and no registers.")
@timeout_option
@global_options
@pass_session
def command(session: Session, domain: str, vcpu: int | None, policy: bool) -> None:
    """Show the registers of one vcpu that is up.

    Xen pauses that vcpu while it reads them; up to 4.11 it pauses the whole domain.

    What --json prints is a context file of format cpu_record: `start` takes it, and
    `encode` makes the record's bytes of it.

    With --policy and no VCPU it shows which bits of CR4 and EFER the domain's CPU policy
    allows and how wide its physical addresses are (Xen 4.12 and later), how its memory is
    paged, and whose processor the host has. Nothing is paused for it.
    """
    if policy is (vcpu is not None):
        raise click.UsageError("give either a VCPU or --policy")
    with session.open() as host:
        found = host.domain(domain)
        if vcpu is None:
            if not isinstance(found, Dom0Domain):
                raise HostError("a domain's CPU policy can be read from dom0 only")
            shown = _policy(found)
            if session.json:
                print_json(shown)
            else:
                say("\n".join(plain(line) for line in _policy_lines(shown)))
            return
        record = found.record(vcpu)
    title = f"vcpu {vcpu} of {found.name or 'domain'} ({found.domid}), {mode_name(record)}"
    if session.json:
        print_json({"description": title, **hexed(as_mapping(record))})
    else:
        width = min(_WIDTH, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDTH
        say("\n".join([plain(title), "", *_registers(record, width), *_segments(record)]))
