# SPDX-License-Identifier: MIT
"""What VCPUOP_initialise refuses: every check of its argument, in Xen's order.

Source: common/domain.c (initialise_vcpu), arch_set_info_hvm_guest and check_segment
(arch/x86/hvm/domain.c; arch/x86/domain.c up to 4.9). Not here: the order of errnos around
it (ENOENT, EFAULT, EEXIST), and shadow paging's look at the guest's memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Iterator, Optional, Tuple

from xenvcpu.abi.registers import AR_P, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME
from xenvcpu.abi import vcpu_hvm_context
from xenvcpu.abi.layout import Image
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.written import Written
from xenvcpu.rules import effect, segments
from xenvcpu.rules.control import CR4_BITS, bit_names
from xenvcpu.rules.efer import efer_rules
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release, Since, Until
from xenvcpu.rules.rule import (
    Case, Predicate, Rule, Stage, Text, all_refusals, first_refusal, hex_c, in_release, is_canonical, single,
)
from xenvcpu.rules.verdict import Finding

SOURCE = "arch_set_info_hvm_guest"
LEGACY_MAX_VCPUS = 32
"""XEN_LEGACY_MAX_VCPUS: vcpus below it have a vcpu_info in the shared info page."""
WANTS_VCPU_INFO = Until("4.19")
_SHOWS_CR4_MASK = Since("4.18")
_WIDTH_64, _WIDTH_32 = 16, 8
_SEGMENT_G = 1 << 11
_FULL = 0xFFFFFFFF


def needs_vcpu_info(release: Release, vcpuid: Optional[int]) -> bool:
    """Whether the vcpu must have a registered vcpu_info; Xen tests it before it reads the argument."""
    return vcpuid is not None and vcpuid >= LEGACY_MAX_VCPUS and release in WANTS_VCPU_INFO


def _pad(field: str) -> Rule:
    return Rule(
        "pad-not-zero", (field,), "padding must be zero", "clear it, or build the struct from zeroes",
        lambda case: case[field] != 0, SOURCE,
    )


def checked_limit(case: Case) -> int:
    """The CS limit as the test of EIP counts it: in pages when G is set, whatever is loaded later."""
    limit = case["cs_limit"]
    return (limit << 12 | 0xFFF) & _FULL if case["cs_ar"] & _SEGMENT_G else limit


def _dpl(case: Case, segment: str) -> int:
    return segments.dpl(case[f"{segment}_ar"])


def _same_dpl() -> Rule:
    return Rule(
        "ss-dpl", ("ss_ar", "cs_ar"), "SS and CS must have the same DPL",
        "give both the privilege level to start at: 0",
        lambda case: _dpl(case, "ss") != _dpl(case, "cs"), SOURCE,
        detail=lambda case: f" has DPL {_dpl(case, 'ss')}, {case.says('cs_ar')} has {_dpl(case, 'cs')}",
        console=lambda case: f"SS.DPL ({_dpl(case, 'ss')}) is different than CS.DPL ({_dpl(case, 'cs')})",
    )


def _data_dpl(segment: str) -> Rule:
    name, field = segment.upper(), f"{segment}_ar"
    return Rule(
        f"{segment}-dpl", (field, "cs_ar"), f"{name} must not have a DPL above that of CS",
        f"give {name} the DPL of CS: 0xc93 with a ring 0 CS",
        lambda case: bool(case[field] & AR_P) and _dpl(case, segment) > _dpl(case, "cs"), SOURCE,
        detail=lambda case: f" has DPL {_dpl(case, segment)}, {case.says('cs_ar')} has {_dpl(case, 'cs')}",
        console=lambda case: f"{name}.DPL ({_dpl(case, segment)}) is greater than CS.DPL ({_dpl(case, 'cs')})",
    )


def _bad_cr4(case: Case) -> str:
    value, valid = case["cr4"], case.cr4_allowed
    if case.release not in _SHOWS_CR4_MASK:
        return f"Bad CR4 value: {hex_c(value, _WIDTH_64)}"
    return f"Bad CR4 {hex_c(value)} (valid {hex_c(valid)}, rejected {hex_c(value & ~valid)})"


def cr4_rule(console: Text) -> Rule:
    """The rule for CR4, the same on both interfaces but for the line that Xen prints."""
    return Rule(
        "cr4-bit", ("cr4",), "CR4 may only have bits that the domain's CPU policy allows",
        "clear them, or give the domain the feature in its CPU policy",
        lambda case: bool(case["cr4"] & ~case.cr4_allowed), "hvm_cr4_guest_valid_bits",
        detail=lambda case: f" has {bit_names(case['cr4'] & ~case.cr4_allowed, CR4_BITS)}", console=console,
    )


def _wants(name: str, field: str, mask: int, what: str, text: str) -> Rule:
    """A bit that 64B mode wants set."""
    broken: Predicate = lambda case: not case[field] & mask  # noqa: E731
    return Rule(
        name, (field,), f"64B mode starts in long mode, which needs {what}",
        f"set {what} ({mask:#x}), or use 32B mode to start without long mode", broken, SOURCE,
        console=lambda case: f"{text} ({hex_c(case[field], _WIDTH_64)})",
    )


_VCPU_INFO = Rule(
    "vcpu-info", ("vcpuid",), "a vcpu numbered 32 or above needs a registered vcpu_info before it can be initialised",
    "use VCPUOP_register_vcpu_info on it first, or start it from dom0",
    lambda case: case.features.registered_vcpu_info is False and needs_vcpu_info(case.release, case["vcpuid"]),
    "do_vcpu_op", releases=WANTS_VCPU_INFO,
)
_MODE = Rule(
    "mode-unknown", ("mode",), "the mode is 0 (32B) or 1 (64B)", "for a 16-bit start use 32B with CR0.PE clear",
    lambda case: case["mode"] not in (Mode.VCPU_HVM_MODE_32B, Mode.VCPU_HVM_MODE_64B), SOURCE,
)
_HEAD = single(_VCPU_INFO, _pad("pad"), _MODE)
_PADS_32B: Stage = tuple((_pad(name),) for name in ("pad1", "pad2[0]", "pad2[1]", "pad2[2]"))
_EIP = Rule(
    "eip-outside-cs", ("eip", "cs_limit", "cs_ar"), "EIP must be within the limit of CS",
    "give CS the limit 0xffffffff (counted in bytes), or an EIP below it; a far base goes into cs_base",
    lambda case: case["eip"] > checked_limit(case), SOURCE,
    detail=lambda case: f", the limit of CS is {checked_limit(case):#x}",
    console=lambda case: (
        f"EIP ({hex_c(case['eip'], _WIDTH_32)}) outside CS limit ({hex_c(checked_limit(case), _WIDTH_32)})"
    ),
)
_LMA = Rule(
    "lma-without-lme", ("efer",), "EFER.LMA needs EFER.LME",
    "set LME for compatibility mode (Xen then sets LMA by itself), or clear LMA",
    lambda case: bool(case["efer"] & EFER_LMA) and not case["efer"] & EFER_LME, SOURCE,
    console=lambda case: f"EFER.LMA set without EFER.LME ({hex_c(case['efer'], _WIDTH_64)})",
)
_RIP = Rule(
    "rip-not-canonical", ("rip",), "RIP must be canonical (bits 63 to 47 all the same)",
    "give the sign-extended 48-bit address", lambda case: not is_canonical(case["rip"]), SOURCE,
    console=lambda case: f"RIP contains a non-canonical address ({hex_c(case['rip'])})",
)


def _bad_efer(case: Case, reason: str) -> str:
    efer = case["efer"] | (EFER_LMA if case["efer"] & EFER_LME else 0)
    return f"Bad EFER value ({hex_c(efer, _WIDTH_64)}): {reason}"


_TAIL = single(cr4_rule(_bad_cr4), *efer_rules("efer", _bad_efer, knows_paging=False))
STAGES_32B: Tuple[Stage, ...] = (
    *_HEAD, _PADS_32B, segments.STAGE, *single(_EIP, _same_dpl(), _data_dpl("ds"), _data_dpl("es"), _LMA), *_TAIL,
)
STAGES_64B: Tuple[Stage, ...] = (
    *_HEAD,
    *single(
        _RIP, _wants("cr0-no-paging", "cr0", CR0_PG, "CR0.PG", "CR0 doesn't have paging enabled"),
        _wants("cr4-no-pae", "cr4", CR4_PAE, "CR4.PAE", "CR4 doesn't have PAE enabled"),
        _wants("efer-no-lme", "efer", EFER_LME, "EFER.LME", "EFER doesn't have LME enabled"),
    ),
    *_TAIL,
)


@lru_cache(maxsize=None)
def _stages(mode: int, release: Release) -> Tuple[Stage, ...]:
    known = {int(Mode.VCPU_HVM_MODE_32B): STAGES_32B, int(Mode.VCPU_HVM_MODE_64B): STAGES_64B}
    return in_release(known[mode], release)


def stages(image: Image, release: Release) -> Tuple[Stage, ...]:
    """The stages that a context goes through; with an unknown mode, no further than the mode."""
    mode = image["mode"]
    return _stages(mode, release) if mode in (0, 1) else in_release(_HEAD, release)


def rules() -> Iterator[Rule]:
    """All rules of this interface, in Xen's order, those of 32B mode first."""
    for table in (STAGES_32B, STAGES_64B):
        for stage in table:
            for chain in stage:
                yield from chain


def case(
    image: Image, release: Release, features: Features = UNKNOWN, vcpuid: Optional[int] = None,
    written: Optional[Written] = None,
) -> Case:
    """The values that the rules look at."""
    made = Case(image.values, image, release, features, written=written)
    made["vcpuid"] = 0 if vcpuid is None else vcpuid
    if image["mode"] == Mode.VCPU_HVM_MODE_32B:
        for name, field, judged in segments.JUDGED:
            made[judged] = effect.adjusted_ar(name, made[field], release)
    return made


def refusals_before_reading(release: Release, features: Features, vcpuid: int) -> Tuple[Finding, ...]:
    """What Xen answers before it reads the context, whatever that is; arguments as `refusals`."""
    nothing = vcpu_hvm_context.LAYOUT_32B.image()
    return first_refusal(in_release(single(_VCPU_INFO), release), case(nothing, release, features, vcpuid))


def refusals(
    image: Image, release: Release, features: Features = UNKNOWN, vcpuid: Optional[int] = None
) -> Tuple[Finding, ...]:
    """What Xen answers to a context: the findings of the first stage that fails, none if it accepts.

    Args:
        image: An image of `struct vcpu_hvm_context`.
        release: The running Xen.
        features: What the domain may do; what is unknown is taken as allowed.
        vcpuid: The vcpu that it is for; without it, vcpu_info is not looked at.
    """
    return first_refusal(stages(image, release), case(image, release, features, vcpuid))


def problems(
    image: Image, release: Release, features: Features = UNKNOWN, vcpuid: Optional[int] = None,
    written: Optional[Written] = None,
) -> Tuple[Finding, ...]:
    """Everything that Xen would refuse, one stage after the other; arguments as `refusals`, and `check_context`."""
    return all_refusals(stages(image, release), case(image, release, features, vcpuid, written))
