# SPDX-License-Identifier: MIT
"""Registers as Xen, QEMU and xen-hvmctx print them: printed here from a CPU record, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.abi import cpu_record
from xenvcpu.abi.layout import Image
from xenvcpu.contextfile import registerdump
from xenvcpu.errors import FormatError
from xenvcpu.model.build import LINUX

DUMPS = Path(__file__).parents[1] / "data" / "dumps"
NAMES = ("vmcs", "vmcb", "qemu", "hvmctx")
SHADOWED = 0xE7FF


def text_of(name: str) -> str:
    return (DUMPS / f"{name}.txt").read_text(encoding="ascii")


def vmx_word(ar: int) -> int:
    """The word of a VMCS: unusable where nothing is present."""
    return ar & 0xFF | (ar & 0xF00) << 4 if ar & 0x80 else 1 << 16 | 0xC000


def as_vmcs(record: Image) -> str:
    r: Dict[str, int] = dict(record.values)
    segments = {
        name: f"{r[f'{name}_sel']:04x} {vmx_word(r[f'{name}_arbytes']):05x} {r[f'{name}_limit']:08x}"
        f" {r[f'{name}_base']:016x}" for name in cpu_record.SEGMENTS
    }
    # Xen's own bits differ in the register, and are the guest's in the shadow.
    controls = "".join(
        f"CR{n}: actual={r[f'cr{n}'] ^ SHADOWED:#018x}, shadow={r[f'cr{n}']:#018x}, gh_mask={SHADOWED:016x}\n"
        for n in (0, 4)
    )
    lines = [f"{'  ' if len(name) == 2 else ''}{name.upper()}: {text}" for name, text in segments.items()]
    lines += [f"{n.upper()}:            {r[f'{n}_limit']:08x} {r[f'{n}_base']:016x}" for n in ("gdtr", "idtr")]
    return (
        f"*** Guest State ***\n{controls}CR3 = {r['cr3']:#018x}\n"
        f"RSP = {r['rsp']:#018x} (0x0123456789abcdef)  RIP = {r['rip']:#018x} (0x0123456789abcdef)\n"
        f"RFLAGS={r['rflags']:#010x} (0x01234567)  DR7 = {r['dr7']:#018x}\n"
        f"Sysenter RSP={r['sysenter_esp']:016x} CS:RIP={r['sysenter_cs']:04x}:{r['sysenter_eip']:016x}\n"
        "       sel  attr  limit   base\n" + "\n".join(lines) +
        f"\nEFER(VMCS) = {r['msr_efer']:#018x}  PAT = 0x0007040600070406\n"
        "*** Host State ***\nRIP = 0xffff82d040200000 (x)  RSP = 0xffff830000000000\n"
        "CR0=0000000080050033 CR3=0000000012345000 CR4=00000000003526e0\nEFER = 0x0000000000000d01\n"
    )


def as_qemu(record: Image) -> str:
    r = record.values
    general = " ".join(f"{name.upper():<3}={r[name]:016x}" for name in (*cpu_record.GENERAL, "rip"))
    segments = "\n".join(
        f"{name.upper()[:3]:<3}={r[f'{name}_sel']:04x} {r[f'{name}_base']:016x} {r[f'{name}_limit']:08x}"
        f" {(r[f'{name}_arbytes'] & 0xFF) << 8 | (r[f'{name}_arbytes'] & 0xF00) << 12 | 0xF0000:08x} DPL=0 CS64 [-RA]"
        for name in cpu_record.SEGMENTS
    )
    tables = "\n".join(f"{n.upper()[:3]}=     {r[f'{n}_base']:016x} {r[f'{n}_limit']:08x}" for n in ("gdtr", "idtr"))
    controls = " ".join(f"{n.upper()}={r[n]:016x}" for n in ("cr0", "cr2", "cr3", "cr4", "dr0", "dr1", "dr2", "dr3"))
    return (
        f"{general} RFL={r['rflags']:08x} [---Z-P-]\n{segments}\n{tables}\n{controls}\n"
        f"DR6={r['dr6']:016x} DR7={r['dr7']:016x}\nEFER={r['msr_efer']:016x}\nFCW=037f FSW=0000\n"
    )


def expected(record: Image, missing: tuple[str, ...]) -> Image:
    """The record without what the program does not print; of a segment that is not present, no attributes are left."""
    gone = {name: 0 for name in missing}
    words = {f"{name}_arbytes": record[f"{name}_arbytes"] for name in cpu_record.SEGMENTS}
    words = {name: ar if ar & 0x80 else 0 for name, ar in words.items()}
    return record.with_values(**gone, **words, flags=0)


@pytest.mark.parametrize("printed", [as_vmcs, as_qemu], ids=["vmcs", "qemu"])
@given(data=st.data())
def test_what_is_printed_is_read_back(printed: Callable[[Image], str], data: st.DataObject) -> None:
    wide = st.integers(0, (1 << 64) - 1)
    names = ("rsp", "rip", "cr3", "dr7", "sysenter_esp", "sysenter_eip", "gs_base", "gdtr_base", "cr0", "cr4")
    changes = {name: data.draw(wide, name) for name in names if printed is as_vmcs or "sysenter" not in name}
    changes.update({f"{name}_arbytes": data.draw(st.integers(0, 0xFFF), name) for name in cpu_record.SEGMENTS})
    record = LINUX.with_values(**changes)
    (dump,) = registerdump.read(printed(record))
    assert dump.record == expected(record, dump.missing)


@pytest.mark.parametrize(("name", "line"), [("vmcs", 3), ("vmcb", 10), ("qemu", 4), ("hvmctx", 8)])
def test_a_dump_is_found_where_it_begins(name: str, line: int) -> None:
    (dump,) = registerdump.read(text_of(name))
    assert dump.line == line


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("vmcs", {"cr0": 0x80000011, "cr4": 0x620, "cs_arbytes": 0xA99, "fs_arbytes": 0, "tr_arbytes": 0x89, "rbx": 2,
                  "pending_event": 0x80000B0E, "error_code": 2, "shadow_gs": 0xFFFF888000000000, "msr_efer": 0x501}),
        ("vmcb", {"cr0": 0x11, "rip": 0x100000, "rsp": 0x80000, "cs_arbytes": 0xC9B, "msr_efer": 0, "dr6": 0xFFFF0FF0}),
        ("qemu", {"rsi": 0x83, "r9": 0x200, "cs_arbytes": 0xA9B, "ds_arbytes": 0, "tr_limit": 0x206F,
                  "idtr_limit": 0xFFF, "cr2": 0xA1B2C3, "msr_efer": 0xD01, "rflags": 0x246}),
        ("hvmctx", {"r15": 15, "cs_arbytes": 0xA9B, "idtr_limit": 0xFFF, "msr_lstar": 0xFFFFFFFF82000000,
                    "rflags": 0x246, "msr_syscall_mask": 0x47700, "msr_efer": 0xD01, "gs_base": 0xFFFF888003C00000}),
    ],
)
def test_a_dump_as_it_is_found_in_logs(name: str, fields: Dict[str, int]) -> None:
    (dump,) = registerdump.read(text_of(name))
    assert fields == {field: dump.record[field] for field in fields}


def test_a_text_may_have_several_dumps() -> None:
    text = "\n".join(map(text_of, NAMES))
    assert [each.dialect for each in registerdump.read(text)] == list(registerdump.DIALECTS)


@pytest.mark.parametrize("name", NAMES)
def test_lines_that_a_mail_program_has_broken_are_read_all_the_same(name: str) -> None:
    whole = text_of(name)
    broken = whole.replace(",  ", ",\n").replace("  RIP = ", "  RIP =\n").replace(" gh_mask", "\ngh_mask")
    assert [each.record for each in registerdump.read(broken)] == [each.record for each in registerdump.read(whole)]


@pytest.mark.parametrize(
    "prefix", ["(XEN) ", "(XEN) [2026-03-04 10:11:12] ", "[  12.345678] (XEN) ", "host xen: (XEN) "]
)
def test_what_a_console_puts_before_each_line_does_not_matter(prefix: str) -> None:
    bare = registerdump.plain(text_of("vmcs"))
    prefixed = "\n".join(prefix + line for line in bare.splitlines())
    assert registerdump.read(prefixed)[0].record == registerdump.read(bare)[0].record


@pytest.mark.parametrize("name", NAMES)
def test_a_dump_that_is_cut_off_is_refused_with_its_line_and_what_it_lacks(name: str) -> None:
    text = text_of(name)
    begin = registerdump.read(text)[0].line
    cut = "\n".join(text.splitlines()[: begin + 1])
    with pytest.raises(FormatError, match=rf"log:{begin}: .*but without .*cs_sel.*cut off"):
        registerdump.read(cut, "log")


def test_a_text_without_registers_is_refused() -> None:
    with pytest.raises(FormatError, match="log: no registers in it"):
        registerdump.read("(XEN) Domain 1 crashed\n", "log")
