# SPDX-License-Identifier: MIT
"""The format of context files as a page, from the tables that its reader goes by."""

from __future__ import annotations

import inspect
from typing import Iterator, Mapping, Tuple

from docs.generate.page import Block, Definitions, Literal, Page, Paragraph, Section
from xenvcpu.context.presets import PRESETS
from xenvcpu.context.segment import SegmentAttributes
from xenvcpu.contextfile import expression, stream
from xenvcpu.contextfile.formats import FORMATS
from xenvcpu.contextfile.source import MAX_SIZE
from xenvcpu.contextfile.vocabulary import CONTROL, FPU, MODES, MSRS, Key, keys, vars_of
from xenvcpu.model.build import FEATURES
from xenvcpu.rules.cpu_msr import ACCEPTED
from xenvcpu.toolstacks import declaration

EXAMPLE = '''# application processors of a 64-bit kernel
preset = "long64"
rip = 0xffffffff80001000
rsp = "0xffffffff80100000 + 0x4000 * vcpuid"
cr3 = 0x1000000
rdi = "vcpuid"'''
_CONTROL = {
    "schema": "The version of the format: 1. May be left out.",
    "format": "The C struct that the file holds field by field, see below. Without it the file is a context.",
    "description": "Words of its author, kept.",
    "preset": "The built-in context to start from, see below. Without it every register begins at zero, and a segment "
              "as `VCPUOP_initialise` leaves it.",
    "mode": "The mode of `struct vcpu_hvm_context`: 32B (real, protected and compatibility mode) or 64B. A preset has "
            "one; without either it is 32B.",
}


_AR_BITS = (
    ("0 to 3", "type, as in the descriptor: `0xb` execute, read, accessed; `0x3` read, write, accessed; of a TSS "
               "`0xb`, busy"),
    ("4", "S: 1 for code and data, 0 for a TSS or LDT"), ("5 and 6", "DPL"), ("7", "P, present"),
    ("8", "AVL, for software"), ("9", "L, 64-bit code"), ("10", "D or B: 32-bit code or stack"),
    ("11", "G, granularity: set where the limit is above `0xfffff`"),
)
_MASKS = (
    ("--cr4-valid", "each bit of CR4 whose feature CPUID has: VME, DE, TSC, PSE, PAE, MCE and PGE in leaf 1 EDX give "
                    "bits 0 to 7, FXSR and SSE 9 and 10, UMIP 11, FSGSBASE 16, PCID 17, XSAVE 18, SMEP 20, SMAP 21, "
                    "PKU 22; PCE, bit 8, is always there"),
    ("--efer-valid", "of leaf 0x80000001 EDX: SYSCALL (bit 11) gives `0x1`, long mode (bit 29) `0x500`, NX (bit 20) "
                     "`0x800`; together `0xd01`"),
    ("--maxphysaddr", "leaf 0x80000008 EAX, bits 7 to 0"),
)


def _grouped(named: Mapping[str, Key]) -> Iterator[Tuple[str, str]]:
    """Keys of the same width together; the parts of a segment or table as one."""
    for bits in sorted({key.bits for key in named.values()}):
        yield f"{bits} bits", ", ".join(f"`{name}`" for name, key in named.items() if key.bits == bits)


def _keys() -> Iterator[Section]:
    for name, mode in MODES.items():
        common = vars_of(mode)
        extended = {key: value for key, value in keys(mode).items() if key not in common}
        yield Section(f"Keys of mode {name}", (
            Paragraph("Both interfaces carry these:"), Definitions(tuple(_grouped(common)), are_code=False),
            Paragraph("From dom0 only:"), Definitions(tuple(_grouped(extended)), are_code=False),
        ))


def _word(ar: int, what: str) -> str:
    """An attribute word in each of the forms in which people meet it."""
    attributes = SegmentAttributes.from_ar(ar)
    return f"`{ar:#x}` {what} (`{attributes.vmx:#x}` in a VMCS, `{(ar & 0xF00) << 12 | (ar & 0xFF) << 8:#x}` in QEMU)"


def _segments() -> Section:
    words = ", ".join((
        _word(0xC9B, "32-bit code"), _word(0xA9B, "64-bit code"), _word(0xC93, "data"), _word(0x8B, "a busy TSS"),
    ))
    return Section("Attributes and limits of segments", (
        Paragraph("An attribute word (`cs_ar`; `cs_arbytes` in a CPU record) is Xen's, of 12 bits:"),
        Definitions(_AR_BITS, are_code=False),
        Paragraph(f"Such as {words}."),
        Paragraph(
            "A word pasted from elsewhere is converted, with a warning that gives both words: the descriptor form of a "
            "VMCS, of KVM and of `xl dmesg` (flags in bits 12 to 15; bit 16 means unusable, which is null), and that "
            "of QEMU's `info registers`. A word that has none of these forms, or could have two of them, is refused "
            "with the word to write. In the image of a C struct a word is literal."
        ),
        Paragraph(
            "A limit is the offset of the last byte, whatever G says: flat is `0xffffffff`, not `0xfffff`. That of "
            "GDTR and IDTR is one less than the size of the table: three descriptors are `0x17`."
        ),
    ))


def _masks() -> Section:
    return Section("What a domain may set", (
        Paragraph(
            "Which bits of CR4 and EFER, and how wide an address, a domain may have is its CPU policy. From Xen 4.12 "
            "on a start from dom0 reads it, `xenvcpu check --domain` goes by it, and `xenvcpu show --policy` prints "
            "it. Without a host to ask, `xenvcpu check` takes it from options; their values come from CPUID as the "
            "guest reads it:"
        ), Definitions(_MASKS),
        Paragraph(
            f"The built-in worlds of the model have `{FEATURES.cr4_valid:#x}`, `{FEATURES.efer_valid:#x}` and "
            f"{FEATURES.maxphysaddr}: a recent processor, without protection keys, CET and five-level paging."
        ),
    ))


def _presets() -> Section:
    entries = tuple((name, inspect.getdoc(made) or "") for name, made in PRESETS.items())
    return Section("Presets", (Definitions(entries),))


def _formats() -> Section:
    entries = tuple(
        (form.name, f"{' or '.join(map(str, form.sizes))} bytes; what no field covers is `{form.rest_key}`, in hex")
        for form in FORMATS.values()
    )
    whole = (stream.FORMAT, "a whole HVM save stream, record by record; `xenvcpu encode` and `decode` alone use it")
    return Section("Images of C structs", (
        Paragraph(
            "With `format`, a file holds one struct to the letter, under the names of its C fields. `xenvcpu decode` "
            "writes such files, `xenvcpu encode` makes the same bytes of them, `xenvcpu start` takes them."
        ), Definitions((*entries, whole)),
    ))


def _declaration() -> Section:
    text = inspect.cleandoc(declaration.__doc__ or "").split("\n\n")
    shown = inspect.cleandoc("\n\n".join(text[2:-1])).splitlines()
    blocks: Tuple[Block, ...] = (
        Paragraph(
            "What toolstacks keep: a context, and which vcpus start with it. `xenvcpu libvirt set` and `xenvcpu xl "
            "create` take one in place of a context file, and a context file in place of one: for every vcpu that is "
            "down."
        ), Literal(tuple(shown), "toml"),
    )
    return Section("Declarations", blocks)


def page() -> Page:
    """The page."""
    assert set(_CONTROL) == set(CONTROL)
    msrs = ", ".join(f"{index:#x}" for index in ACCEPTED)
    return Page(
        "xenvcpu-context", 5, "what a vcpu starts with, as a file", (),
        (
            Section("Description", (
                Paragraph(
                    f"A context file is TOML, or JSON if it begins with a brace, of at most {MAX_SIZE >> 20} MiB. Its "
                    "keys are the names of C fields: a key that is misspelt is an error that names the nearest."
                ), Literal(tuple(EXAMPLE.splitlines()), "toml"),
            )),
            Section("Values", (Paragraph(
                "A value is an integer that fits the field, or a text with an expression in `vcpuid`, so that one file "
                "serves all vcpus: integers, `vcpuid`, + - * // % << >> & | ^ ~ and parentheses, of at most "
                f"{expression.MAX_LENGTH} characters and with no intermediate result above {expression.MAX_BITS} bits. "
                "In JSON a 64-bit value is best a text: many programs read numbers as floating point."
            ),)),
            Section("Keys that say how to read it", (Definitions(tuple(_CONTROL.items())),)),
            *_keys(), _segments(),
            Section("Tables and bytes", (Definitions((
                (MSRS, f"A table of MSRs by index, from dom0 only, for those without a field of their own: {msrs}."),
                (FPU, "The FXSAVE image, 512 bytes in hex, from dom0 only."),
            )),)),
            _segments(), _masks(), _presets(), _formats(), _declaration(),
        ),
        ("xenvcpu-preset.1", "xenvcpu-check.1", "xenvcpu-start.1", "xenvcpu-rules.7"),
    )
