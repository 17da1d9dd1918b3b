# SPDX-License-Identifier: MIT
"""Registers as other programs print them: the VMCS or VMCB in `xl dmesg`, QEMU's `info registers`, `xen-hvmctx`.

What is printed around them, prefixes of the console and broken lines do not matter.

Source of the forms: vmcs_dump_vcpu (arch/x86/hvm/vmx/vmcs.c), svm_vmcb_dump (arch/x86/hvm/svm/svmdebug.c),
tools/misc/xen-hvmctx.c, and QEMU's target/i386/cpu-dump.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from xenvcpu.abi import cpu_record
from xenvcpu.abi.layout import Image
from xenvcpu.abi.registers import EFER_SVME
from xenvcpu.context.segment import SegmentAttributes
from xenvcpu.errors import FormatError

MAX_SIZE = 1 << 22
"""A console ring holds less."""

_CONSOLE = re.compile(r"^[^\n(]{0,80}\(XEN\) ?(?:\[[^\]\n]{0,40}\] ?)?", re.MULTILINE)
_HEX = r"(?:0x)?([0-9a-f]{1,16})\b"
_GENERAL = dict(zip(cpu_record.GENERAL, cpu_record.GENERAL))
_QEMU_PRESENT = 1 << 15
_VALID_EVENT = 1 << 31
_NEEDED = ("rip", "rflags", "cr0", "cr3", "cr4", "msr_efer", "cs_sel", "ss_sel", "tr_sel")
_UNASKED = frozenset(("msr_flags", "msr_tsc_aux", "tsc", "pending_event", "error_code", "flags", "pad0"))
"""No dump need have these: each is as good as zero in a new vcpu."""

Values = dict[str, int]


def _regex(text: str) -> re.Pattern[str]:
    return re.compile(text.replace("HEX", _HEX), re.IGNORECASE | re.MULTILINE)


def _named(names: Mapping[str, str], sign: str) -> re.Pattern[str]:
    """`NAME = VALUE`, for any of these names."""
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf"(?<!\w)({either})\s*{sign}\s*{_HEX}", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """A program's way to print registers.

    Attributes:
        name: What it prints.
        begins: How such a dump begins.
        ends: What comes behind the guest's part of it.
        names: The program's names, and the fields of the CPU record that they are.
        sign: What is between a name and its value.
        groups: Values that are printed otherwise, with the field of each.
        segment: A segment, with groups `name`, `sel`, `ar`, `limit` and `base`.
        table: GDTR or IDTR, with groups `name`, `limit` and `base`.
        attributes: Its attribute word as Xen's.
        finish: Mends what is known better from the whole.
    """

    name: str
    begins: re.Pattern[str]
    ends: re.Pattern[str]
    names: Mapping[str, str]
    sign: str
    segment: re.Pattern[str]
    table: re.Pattern[str]
    attributes: Callable[[int], int]
    groups: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = ()
    finish: Callable[[Values], None] = field(default=lambda values: None)


def _finish_vmcs(values: Values) -> None:
    """What the guest reads in CR0 and CR4: the shadow in the bits that are Xen's, the register in the others."""
    for name in ("cr0", "cr4"):
        parts = [values.pop(f"{name}_{part}", None) for part in ("actual", "shadow", "mask")]
        if None not in parts:
            actual, shadow, mask = (part or 0 for part in parts)
            values[name] = shadow & mask | actual & ~mask


def _finish_vmcb(values: Values) -> None:
    """EFER.SVME is Xen's own: the processor wants it there."""
    if "msr_efer" in values:
        values["msr_efer"] &= ~EFER_SVME


def _of_qemu(word: int) -> int:
    """QEMU's word is the upper half of the descriptor; one that is not present has nothing else to say."""
    return word >> 8 & 0xFF | word >> 12 & 0xF00 if word & _QEMU_PRESENT else 0


_XEN_SEGMENT = (
    r"(?<!\w)(?P<name>CS|DS|SS|ES|FS|GS|LDTR|TR):\s*(?:sel=)?(?:0x)?(?P<sel>[0-9a-f]{4}),?\s+(?:attr=)?(?:0x)?"
    r"(?P<ar>[0-9a-f]{1,5}),?\s+(?:limit=)?(?:0x)?(?P<limit>[0-9a-f]{8}),?\s+(?:base=)?(?:0x)?(?P<base>[0-9a-f]{16})"
)
_XEN_TABLE = (
    r"(?P<name>GDTR|IDTR):\s+(?:[0-9a-f]{4}\s+[0-9a-f]{4}\s+)?(?:limit=)?(?:0x)?(?P<limit>[0-9a-f]{8}),?\s+"
    r"(?:base=)?(?:0x)?(?P<base>[0-9a-f]{16})"
)
_QEMU_NAMES = {
    **{name.upper(): name for name in cpu_record.GENERAL},
    **{f"E{name[1:].upper()}": name for name in cpu_record.GENERAL[:8]},
    "RIP": "rip", "EIP": "rip", "RFL": "rflags", "EFL": "rflags", "EFER": "msr_efer",
    **{name.upper(): name for name in ("cr0", "cr2", "cr3", "cr4", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7")},
}
_HVMCTX_NAMES = {
    **_GENERAL, **{name: name for name in ("rip", "rflags", "cr0", "cr2", "cr3", "cr4", "tsc")},
    **{name: name for name in ("dr0", "dr1", "dr2", "dr3", "dr6", "dr7")},
    "shadow gs": "shadow_gs", "MSR flags": "msr_flags", "lstar": "msr_lstar", "star": "msr_star",
    "cstar": "msr_cstar", "sfmask": "msr_syscall_mask", "efer": "msr_efer", "event": "pending_event",
    "error": "error_code",
}

DIALECTS = (
    Dialect(
        "a VMCS as Xen prints it (`xl dmesg`)", _regex(r"\*\*\* Guest State \*\*\*"), _regex(r"\*\*\* Host State"),
        {"CR3": "cr3", "RSP": "rsp", "RIP": "rip", "RFLAGS": "rflags", "DR7": "dr7"}, "=", _regex(_XEN_SEGMENT),
        _regex(_XEN_TABLE), lambda ar: SegmentAttributes.from_vmx(ar).ar,
        (
            (_regex(r"CR0: actual=HEX,\s*shadow=HEX,\s*gh_mask=HEX"), ("cr0_actual", "cr0_shadow", "cr0_mask")),
            (_regex(r"CR4: actual=HEX,\s*shadow=HEX,\s*gh_mask=HEX"), ("cr4_actual", "cr4_shadow", "cr4_mask")),
            (_regex(r"CR3: actual=HEX"), ("cr3",)),
            (_regex(r"Sysenter\s+RSP=HEX\s+CS:RIP=HEX:HEX"), ("sysenter_esp", "sysenter_cs", "sysenter_eip")),
            (_regex(r"EFER(?:\([^)\n]{1,10}\))?\s*=\s*HEX"), ("msr_efer",)),
        ), _finish_vmcs,
    ),
    Dialect(
        "a VMCB as Xen prints it (`xl dmesg`)", _regex(r"\bcpl\s*=\s*[0-3]\s+efer\s*="), _regex(r"\Z"),
        {
            "efer": "msr_efer", "star": "msr_star", "lstar": "msr_lstar", "CSTAR": "msr_cstar",
            "SFMask": "msr_syscall_mask", "KernGSBase": "shadow_gs", "RSP": "rsp", "RIP": "rip", "RAX": "rax",
            "RFLAGS": "rflags", **{name.upper(): name for name in ("cr0", "cr2", "cr3", "cr4", "dr6", "dr7")},
        }, "=", _regex(_XEN_SEGMENT), _regex(_XEN_TABLE), lambda ar: ar, (), _finish_vmcb,
    ),
    Dialect(
        "the output of QEMU's `info registers`", _regex(r"(?<!\w)[RE]AX\s*=\s*HEX\s+[RE]BX\s*="),
        _regex(r"(?<!\w)FCW\s*="), _QEMU_NAMES, "=",
        _regex(
            r"(?<!\w)(?P<name>CS|DS|SS|ES|FS|GS|LDT|TR)\s*=(?P<sel>[0-9a-f]{4})\s+(?P<base>[0-9a-f]{8,16})\s+"
            r"(?P<limit>[0-9a-f]{8})\s+(?P<ar>[0-9a-f]{8})"
        ),
        _regex(r"(?<!\w)(?P<name>GDT|IDT)\s*=\s*(?P<base>[0-9a-f]{8,16})\s+(?P<limit>[0-9a-f]{8})"),
        _of_qemu,
    ),
    Dialect(
        "the output of xen-hvmctx", _regex(r"CPU:\s+rax\s+0x"), _regex(r"\bFPU:|^Entry \d"), _HVMCTX_NAMES, r"\s",
        _regex(
            r"(?<!\w)(?P<name>cs|ds|es|fs|gs|ss|tr|ldtr)\s+0x(?P<sel>[0-9a-f]{1,8})\s+\(0x(?P<base>[0-9a-f]{1,16})"
            r"\s*\+\s*0x(?P<limit>[0-9a-f]{1,8})\s*/\s*0x(?P<ar>[0-9a-f]{1,8})\)"
        ),
        # It calls one of them itdr.
        _regex(r"(?<!\w)(?P<name>gdtr|idtr|itdr)\s+\(0x(?P<base>[0-9a-f]{1,16})\s*\+\s*0x(?P<limit>[0-9a-f]{1,8})\)"),
        lambda ar: ar,
        ((_regex(r"sysenter\s+cs\s+HEX\s+eip\s+HEX\s+esp\s+HEX"), ("sysenter_cs", "sysenter_eip", "sysenter_esp")),),
    ),
)
_OF_NAME = {"ldtr": "ldtr", "ldt": "ldtr", "gdt": "gdtr", "idt": "idtr", "itdr": "idtr"}
_AT_CRASH = {**_GENERAL, "gss": "shadow_gs", "cr2": "cr2"}
"""What Xen prints of a domain that it crashes, behind the VMCS or VMCB, which do not have it."""
_CRASH = _named(_AT_CRASH, ":")
_EVENT = _regex(r"VMEntry:\s+intr_info=HEX\s+errcode=HEX")


@dataclass(frozen=True)
class RegisterDump:
    """Registers that were found in a text.

    Attributes:
        dialect: Who has printed them.
        line: Where they begin.
        record: The CPU record that holds them.
        missing: The fields that the text does not have, and that are zero in the record.
    """

    dialect: Dialect
    line: int
    record: Image
    missing: tuple[str, ...]


def plain(text: str) -> str:
    """A text without what Xen's console puts before each line; its lines stay where they are."""
    return _CONSOLE.sub("", text)


def dialect_of(text: str) -> Dialect | None:
    """The dialect of the first dump in a text; None if there is none."""
    found = [(match.start(), dialect) for dialect in DIALECTS for match in [dialect.begins.search(text)] if match]
    return min(found, key=lambda each: each[0])[1] if found else None


def read(text: str, name: str = "<text>") -> tuple[RegisterDump, ...]:
    """Every dump in a text, in order.

    Raises:
        FormatError: There is none, or one of them is cut off; the message names file and line.
    """
    text = plain(text)
    starts = sorted(
        (match.start(), number) for number, dialect in enumerate(DIALECTS) for match in dialect.begins.finditer(text)
    )
    if not starts:
        known = ", ".join(dialect.name for dialect in DIALECTS)
        raise FormatError(f"{name}: no registers in it; what is known is {known}")
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return tuple(
        _read_one(DIALECTS[number], text[start:end], text.count("\n", 0, start) + 1, name)
        for (start, number), end in zip(starts, ends)
    )


def _read_one(dialect: Dialect, text: str, line: int, name: str) -> RegisterDump:
    match = dialect.ends.search(text)
    values = dict(_values(dialect, text[: match.start()] if match else text))
    for shown in _CRASH.finditer(text):
        values.setdefault(_AT_CRASH[shown[1].lower()], int(shown[2], 16))
    event = _EVENT.search(text)
    if event is not None and int(event[1], 16) & _VALID_EVENT:
        values.update(pending_event=int(event[1], 16), error_code=int(event[2], 16))
    dialect.finish(values)
    lacks = [needed for needed in _NEEDED if needed not in values]
    if lacks:
        raise FormatError(f"{name}:{line}: {dialect.name}, but without {', '.join(lacks)}: it is cut off, or damaged")
    zero = cpu_record.LAYOUT.image()
    try:
        record = zero.with_values(**values)
    except ValueError as error:
        raise FormatError(f"{name}:{line}: {dialect.name}: {error}") from error
    missing = (each for each in record.layout.fields if each not in values and each not in _UNASKED)
    return RegisterDump(dialect, line, record, tuple(missing))


def _values(dialect: Dialect, text: str) -> Iterator[tuple[str, int]]:
    """The fields that a dump has, the first of each last: so that it counts."""
    found: list[tuple[str, int]] = []
    fields = {shown.lower(): meant for shown, meant in dialect.names.items()}
    for match in _named(dialect.names, dialect.sign).finditer(text):
        found.append((fields[match[1].lower()], int(match[2], 16)))
    for pattern, names in dialect.groups:
        for match in pattern.finditer(text):
            found += zip(names, (int(value, 16) for value in match.groups()))
    for pattern in (dialect.segment, dialect.table):
        for match in pattern.finditer(text):
            parts = {part: int(value, 16) for part, value in match.groupdict().items() if part != "name"}
            shown = match["name"].lower()
            of = _OF_NAME.get(shown, shown)
            if "ar" in parts:
                parts["arbytes"] = dialect.attributes(parts.pop("ar"))
            found += [(f"{of}_{part}", value) for part, value in parts.items()]
    yield from reversed(found)
