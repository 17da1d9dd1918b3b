# SPDX-License-Identifier: MIT
"""hvm_efer_valid, step by step: the rules that both interfaces share.

Source: hvm_efer_valid (arch/x86/hvm/hvm.c). VCPUOP_initialise passes no CR0.PG (-1) to it,
the CPU record load does.
"""

from __future__ import annotations

from functools import partial
from typing import Callable, Tuple

from xenvcpu.abi.registers import CR0_PG, EFER_LMA, EFER_LME, EFER_SCE
from xenvcpu.rules.control import EFER_BITS, bit_names, efer_known
from xenvcpu.rules.release import ALWAYS, Release, Since, Until
from xenvcpu.rules.rule import Case, Rule

REFUSES_UNKNOWN = Since("4.8.5", "4.9.3", "4.10.2", "4.11.1", "4.12")
_FROM_POLICY = Since("4.9")
_SAYS_NXE = Since("4.16")
_MASK = {bit.name: bit.mask for bit in EFER_BITS}

Console = Callable[[Case, str], str]
"""Xen's line for a case and the reason that hvm_efer_valid gives."""

Broken = Callable[[Case, int], bool]


def _without(mask: int) -> Broken:
    return lambda case, efer: bool(efer & mask & ~case.efer_allowed)


def _sce(case: Case, efer: int) -> bool:
    return bool(efer & EFER_SCE & ~case.efer_allowed)


def _sce_vcpuop(case: Case, efer: int) -> bool:
    # Up to 4.8, VCPUOP lets SCE through with LME: on VT-x, SYSCALL is hidden outside long mode.
    return _sce(case, efer) and not (efer & EFER_LME and case.release not in _FROM_POLICY)


def _unknown_bits(case: Case, efer: int) -> int:
    # In a release newer than the tables, a mask that was given counts too.
    known = efer_known(case.release)
    return efer & ~(known if case.release.is_known else known | case.efer_allowed)


def _unknown(case: Case, efer: int) -> bool:
    return bool(_unknown_bits(case, efer))


def _lma(case: Case, efer: int) -> bool:
    return bool(efer & EFER_LMA) and not (efer & EFER_LME and case["cr0"] & CR0_PG)


def _nx_text(release: Release) -> str:
    return "NXE without feature" if release in _SAYS_NXE else "NX without feature"


def _rule(
    field: str, source: str, console: Console,
    name: str, broken: Broken, reason: str, needed: str, remedy: str, releases: Since = ALWAYS,
) -> Rule:
    """One rule; the first three are the same for all of an interface."""
    return Rule(
        name, (field, "cr0") if name == "efer-lma" else (field,), needed, remedy,
        lambda case: broken(case, case[field]), source, releases=releases,
        detail=lambda case: f" has {bit_names(_unknown_bits(case, case[field]) or case[field], EFER_BITS)}",
        console=lambda case: console(case, _nx_text(case.release) if reason == "NX" else reason),
    )


def efer_rules(field: str, console: Console, *, knows_paging: bool) -> Tuple[Rule, ...]:
    """The rules for the EFER of one interface, in Xen's order.

    Args:
        field: The field that holds EFER.
        console: Makes Xen's line from the reason.
        knows_paging: Whether CR0.PG is known to the check (the CPU record load).
    """
    rule = partial(_rule, field, f"hvm_efer_valid(cr0_pg = {'CR0.PG' if knows_paging else -1})", console)

    def feature(bit: str, mask: int, reason: str, flag: str, releases: Since = ALWAYS) -> Rule:
        return rule(
            f"efer-{bit.lower()}", _without(mask), reason,
            f"EFER.{bit} needs the CPU feature {flag}, which the domain lacks",
            f"clear EFER.{bit}, or give the domain {flag} in its CPU policy", releases,
        )

    lma = rule(
        "efer-lma", _lma, "LMA/LME/CR0.PG inconsistency", "EFER.LMA needs EFER.LME and CR0.PG",
        "set LME and CR0.PG with LMA for long mode, or clear LMA",
    )
    return (
        rule(
            "efer-unknown-bit", _unknown, "Unknown bits set", "only the bits of EFER that Xen knows may be set",
            "clear the others", REFUSES_UNKNOWN,
        ),
        rule(
            "efer-sce", _sce if knows_paging else _sce_vcpuop, "SCE without feature",
            "EFER.SCE needs the CPU feature syscall, which the domain lacks",
            "clear EFER.SCE, or give the domain syscall in its CPU policy",
        ),
        feature("LME", EFER_LME | EFER_LMA, "LME/LMA without feature", "lm"),
        # VCPUOP_initialise never gets that far: it has refused LMA without LME before.
        *((lma,) if knows_paging else ()),
        feature("NXE", _MASK["NXE"], "NX", "nx"),
        feature("SVME", _MASK["SVME"], "SVME without nested virt", "svm (with nested virtualisation enabled)"),
        feature("LMSLE", _MASK["LMSLE"], "LMSLE without support", "lmsl", Until("4.12")),
        feature("FFXSE", _MASK["FFXSE"], "FFXSE without feature", "ffxsr"),
        feature("AIBRSE", _MASK["AIBRSE"], "AutoIBRS without feature", "auto_ibrs", Since("4.18")),
    )
