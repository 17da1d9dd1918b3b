# SPDX-License-Identifier: MIT
"""The rules as a page, each with an example that was judged when the page was made."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Tuple

from docs.generate.page import Block, Definitions, Literal, Page, Paragraph, Section
from integration.verdicts import deaths
from xenvcpu import bystanders
from xenvcpu.abi.layout import Image
from xenvcpu.context import presets
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile.vocabulary import spelled_in
from xenvcpu.encoding import to_cpu_record, to_vcpu_hvm_context
from xenvcpu.rules import cpu_msr, together
from xenvcpu.rules.catalogue import Entry, catalogue
from xenvcpu.rules.check import check_context, check_record
from xenvcpu.rules.features import Features, Interface
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.rules.rule import AMD, HARDWARE, INTEL
from xenvcpu.rules.verdict import Finding, Level

EFFECTS = {
    Level.REJECTED: "Xen refuses the context with EINVAL; nothing has changed.",
    Level.FATAL: "Xen takes it, the processor refuses it, and the whole domain crashes.",
    Level.WARNING: "Both take it; it is hardly what was meant.",
}
TITLES = {
    Level.REJECTED: "What Xen refuses", Level.FATAL: "What the processor refuses",
    Level.WARNING: "What was hardly meant",
}
CALLS = {Interface.VCPUOP: "VCPUOP_initialise", Interface.DOMCTL: "XEN_DOMCTL_sethvmcontext"}
_POOR = Features(cr4_valid=0x7FC, efer_valid=0)
"""A domain whose CPU policy has little."""
_WAYS = {
    "": (Features(), _POOR, Features(registered_vcpu_info=False)),
    HARDWARE[INTEL]: (Features(vendor=INTEL),), HARDWARE[AMD]: (Features(vendor=AMD),),
}
_VCPUID = 32
_RELEASES = (KNOWN[-1], Release(17), Release(14), Release(11), Release(8, 4))
_BITS = tuple(1 << bit for bit in (12, 13, 14, 15, 17, 18, 21, 22, 23, 31, 32, 40, 47, 52, 63))
_VALUES = (
    0, 1, 2, 4, 0x10, 0x13, 0x83, 0x8B, 0xC13, 0xC83, 0xC8B, 0xC91, 0xC92, 0xC93, 0xC99, 0xC9A, 0xC9B, 0xCF3, 0xE9B,
    0xCC93, 0x82, 0x300, 0x202, 0x8002, 0x20002, 0xFFF, 0x8000, 0x1010, 0x10000, 0x100000, 0x20000011, 0x80000010,
    0x80000020, 0xFFFE, 0x49B, 0x893, 0x89B, 0x100, 0x400, 0x500, 0x800, 0x1000, 0x2000, 0x4000, 0x200000,
    *_BITS,
    1 << 31 | 0x203, 1 << 31 | 3 << 8 | 2, 1 << 31 | 3 << 8 | 32,
    1 << 31 | 0x20, 1 << 31 | 1 << 8, 1 << 31 | 5 << 8, 1 << 31 | 1 << 12, 1 << 31 | 3 << 8 | 1 << 11,
)
_TOGETHER = (
    {"pending_event": 1 << 31 | 3 << 8 | 1 << 11 | 14, "error_code": 0x8000}, {"ss_sel": 0x18, "gdtr_limit": 0x17},
    {"pending_event": 1 << 31 | 3 << 8 | 1 << 11, "error_code": 1 << 16}, {"ss_sel": 4, "cs_arbytes": 0xC9B},
    {"rflags": 0x20002}, {"rflags": 0x202}, {"ldtr_arbytes": 0x82, "ldtr_sel": 4}, {"rsp": 0x20000, "ss_limit": 0xFFFF},
    {"cs_sel": 0x100, "cs_base": 0x2000}, {"ldtr_arbytes": 0x82, "ldtr_base": 1 << 47},
)


def _starts() -> Iterator[VcpuContext]:
    yield presets.flat32(0x1000, 0x8000)
    yield presets.long64(0x100000, 0x8000, 0x1000)
    yield presets.pae32(0x1000, 0x8000, 0x1000)
    yield presets.real16(0x800, 0, 0x1000)


def _changes(image: Image, fields: Iterable[str]) -> Iterator[Dict[str, int]]:
    """What may break a rule that looks at these fields; the other struct may spell them otherwise."""
    yield {}
    here = {field if field in image.values else spelled_in(field, image.values) for field in fields}
    for field in sorted(filter(None, here)):
        for value in (2,) if field == "mode" else (*_VALUES, *(image[field] | bit for bit in _BITS)):
            if value < 1 << 8 * image.layout.fields[field].size:
                yield {field: value}
    yield from (each for each in _TOGETHER if set(each) <= set(image.values))


def _judge(image: Image, release: Release, features: Features) -> Tuple[Finding, ...]:
    is_context = "mode" in image.values
    judge = check_context if is_context else check_record
    return judge(image, release, features, _VCPUID).naming(1, 1).findings


@lru_cache(maxsize=None)
def example(entry: Entry) -> Optional[Tuple[Release, Finding]]:
    """A finding by which a rule is told, alone if that can be, of the newest release that has the rule."""
    best: Optional[Tuple[int, Release, Finding]] = None
    images = [convert(start) for convert in _converters(entry) for start in _starts()]
    ways = _WAYS[entry.hardware]
    releases = (release for release in _RELEASES if release in entry.releases)
    for release, features, image in product(releases, ways, images):
        for change in _changes(image, entry.fields):
            found = _judge(image.with_values(**change), release, features)
            for finding in found:
                if (finding.rule, finding.level) == (entry.name, entry.level):
                    if len(found) == 1:
                        return release, finding
                    if best is None or len(found) < best[0]:
                        best = len(found), release, finding
        if best is not None and features is ways[-1]:
            break
    return None if best is None else best[1:]


def _converters(entry: Entry) -> List[Callable[[VcpuContext], Image]]:
    made = {Interface.VCPUOP: to_vcpu_hvm_context, Interface.DOMCTL: to_cpu_record}
    return [made[interface] for interface in entry.interfaces]


def _names(entry: Entry) -> Section:
    """One rule."""
    found = example(entry)
    assert found is not None, f"{entry.name}: no value in this module breaks it"
    release, finding = found
    interfaces = " and ".join(f"{interface.value} ({CALLS[interface]})" for interface in entry.interfaces)
    said = [
        ("Demands", " ".join(map(_sentence, entry.summaries))),
        ("Fields", ", ".join(f"`{field}`" for field in entry.fields)), ("Interfaces", interfaces),
        ("Releases", f"{entry.releases.text}{f'; {entry.hardware} only' if entry.hardware else ''}"),
        ("Source", "; ".join(entry.sources)), ("Example", f"on Xen {release}: {finding.message}"),
    ]
    if entry.level is Level.FATAL and deaths.seen(entry.name):
        said.insert(-1, ("Seen", _sentence(deaths.seen(entry.name))))
    blocks: List[Block] = [Definitions(tuple(said), are_code=False)]
    if finding.kills_host:
        blocks.append(Paragraph(
            "It is Xen itself that faults on this, and takes every domain down with it. No vendor that is given and no "
            "option lifts this rule."
        ))
    if finding.console is not None:
        blocks += [Paragraph("Xen's console:"), Literal((f"(XEN) {finding.console}",))]
    return Section(entry.name, tuple(blocks), label=f"rule-{entry.name}-{entry.level.value}")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _msrs() -> Section:
    """What may stand in the table `msrs`."""
    entries = tuple((f"{index:#x}", f"releases: {since.text}") for index, since in cpu_msr.ACCEPTED.items())
    return Section("MSRs beside the CPU record", (
        Paragraph(
            "`msr-not-loadable` (rejected, ENXIO): a load from dom0 takes the MSRs below and no others, each where the "
            "domain's CPU policy has it. `xss-not-zero` (fatal): before 4.13 a value in 0xda0 other than zero takes "
            "the host down on VT-x; later Xen refuses it. No option lifts it."
        ), Definitions(entries),
    ), label="rule-msr-not-loadable-rejected")


def _together() -> Section:
    """What takes more than one vcpu to see."""
    return Section("Beside other vcpus", (Paragraph(
        f"A start and its `--dry-run` also look at the vcpus together. `{together.SHARED_STACK}`: two of those that "
        f"start have one stack. `{together.BOOT_TABLES}`, from dom0: a vcpu has the CR3 of the boot vcpu, but not its "
        "EFER.LMA, EFER.NXE, CR4.PAE, CR4.LA57 or CR4.PCIDE, by which the processor reads the tables. "
        f"`{bystanders.FPU_WITHOUT_XSAVE}`, after a start from dom0: a vcpu that was online uses the FPU and has not "
        "enabled XSAVE, on a processor that has it; Xen may have saved old x87 control words of it."
    ),), label="rule-beside-other-vcpus-warning")


def _domains() -> Section:
    """What is demanded of the domain, which a context does not show."""
    return Section("The domain", (Definitions((
        ("nested-hvm", "No vcpu that is online has EFER.SVME or CR4.VMXE: it may run a guest of its own, whose state "
         "a load would overwrite (svm_vmcb_restore). `--ignore-rules nested-hvm` accepts it."),
        ("device-access", "No vcpu is in the middle of an access to an emulated device, which a load would cut off "
         "(4.14 and later). `--allow-device-access-loss` accepts it."),
    )),), label="rules-of-the-domain")


def page() -> Page:
    """The page of all rules."""
    parts = []
    for level in Level:
        entries = [entry for entry in catalogue() if entry.level is level]
        about = Paragraph(f"Level `{level.value}`. {EFFECTS[level]} {len(entries)} rules.")
        more = {Level.REJECTED: (_msrs(),), Level.WARNING: (_together(),)}.get(level, ())
        parts.append(Section(TITLES[level], (about,), (*map(_names, entries), *more), label=f"level-{level.value}"))
    return Page(
        "xenvcpu-rules", 7, "what Xen and the processor demand of a vcpu's first state", (),
        (Section("Description", (Paragraph(
            "The rules that `xenvcpu check` knows, in Xen's order, for Xen "
            f"{KNOWN[0]} to {KNOWN[-1]}. A finding names its rule in brackets or under `rule`. The fields are those of "
            "`struct vcpu_hvm_context` (vcpuop) and of `struct hvm_hw_cpu` (domctl); VT-x is Intel's, SVM AMD's. Each "
            "example is what the checker says to a preset with one value changed. Of a fatal rule it is told whether a "
            "real Xen showed it; those of VT-x alone have not been seen, for it ran on an emulated SVM processor."
        ),)), *parts, _domains()),
        ("xenvcpu-check.1", "xenvcpu-context.5"),
    )
