# SPDX-License-Identifier: MIT
"""What the load of a CPU record refuses: every check of hvm_load_cpu_ctxt, in Xen's order.

All lines that Xen prints here are complete, with `{domid}` and `{vcpuid}` left for the
caller to fill (`str.format`). Not here: the instance and the length of the record, and
shadow paging's look at the guest's memory.

Up to 4.9.3, 4.10.2 and 4.11.1 this path went by the host's CPU policy: give `Features` with
the host's masks there.

Source: hvm_load_cpu_ctxt (arch/x86/hvm/hvm.c), vmx_vmcs_restore, svm_vmcb_restore.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Callable, Iterator, Optional, Tuple

from xenvcpu.abi.registers import CR0_ET, CR0_PE, CR0_PG
from xenvcpu.abi.cpu_record import FPU_INITIALISED
from xenvcpu.abi.layout import Image
from xenvcpu.context.written import Written
from xenvcpu.rules.control import CR0_KNOWN
from xenvcpu.rules.efer import efer_rules
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release, Since
from xenvcpu.rules.rule import (
    AMD, Case, Predicate, Rule, Stage, all_refusals, first_refusal, hex_c, in_release, is_wide, single,
)
from xenvcpu.rules.vcpuop import cr4_rule
from xenvcpu.rules.verdict import Finding

SOURCE = "hvm_load_cpu_ctxt"
_VENDOR_HOOK = "vmx_vmcs_restore, svm_vmcb_restore"
_CRASHES = "; Xen also crashes the domain for it"
CHECKS_CR3 = Since("4.14")
_CHECKS_DEBUG = Since("4.18")
_SHOWS_CR4_MASK = Since("4.18")
SVM_CHECKS_TYPE = Since("4.9")
_FROM_DOMAIN = "HVM{{domid}} restore: bad {name} {value}"
_FROM_VCPU = "d{{domid}}v{{vcpuid}}: HVM restore: bad {name} {value}"

PENDING_VALID, PENDING_ERROR, _PENDING_RESERVED = 1 << 31, 1 << 11, 0x7FFFF000
EXTERNAL_INTERRUPT = 0
_TYPE_RESERVED, _MOST_VMX, _MOST_SVM = 1, 6, 4
"""The type that neither knows, and the highest that each does."""


def pending_type(case: Case) -> Optional[int]:
    """The type of the pending event (as VT-x numbers it), or None if none is pending."""
    event = case["pending_event"]
    return event >> 8 & 7 if event & PENDING_VALID else None


def _has_wide_error_code(case: Case) -> bool:
    is_given = pending_type(case) is not None and case["pending_event"] & PENDING_ERROR
    return bool(is_given) and case["error_code"] > 0xFFFF


def _line(template: str, name: str, field: str) -> Callable[[Case], str]:
    return lambda case: template.format(name=name, value=hex_c(case[field]))


def _bad_cr4(case: Case) -> str:
    value, valid = case["cr4"], case.cr4_allowed
    text = _FROM_DOMAIN.format(name="CR4", value=hex_c(value))
    if case.release not in _SHOWS_CR4_MASK:
        return text
    return f"{text} (valid {hex_c(valid)}, rejected {hex_c(value & ~valid)})"


def _bad_efer(case: Case, reason: str) -> str:
    return f"{_FROM_VCPU.format(name='EFER', value=hex_c(case['msr_efer']))} - {reason}"


def _bad_debug(case: Case) -> str:
    return f"{_FROM_VCPU.format(name='DR6', value=hex_c(case['dr6']))} or DR7 {hex_c(case['dr7'])}"


def _cr0(name: str, broken: Predicate, needed: str, remedy: str) -> Rule:
    return Rule(name, ("cr0",), needed, remedy, broken, SOURCE, console=_line(_FROM_DOMAIN, "CR0", "cr0"))


def _debug(field: str) -> Rule:
    return Rule(
        f"{field}-high-bits", (field,), f"{field.upper()} has 32 bits", "clear bits 32 and above",
        lambda case: is_wide(case[field]), SOURCE, releases=_CHECKS_DEBUG, console=_bad_debug,
    )


_PAD = Rule(
    "pad-not-zero", ("pad0",), "padding must be zero", "clear it, or build the record from zeroes",
    lambda case: case["pad0"] != 0, SOURCE,
)
_CR0: Stage = ((
    _cr0(
        "cr0-reserved-bit", lambda case: bool(case["cr0"] & ~CR0_KNOWN), "CR0 may only have the bits of 0xe005003f",
        "clear the others",
    ),
    _cr0("cr0-no-et", lambda case: not case["cr0"] & CR0_ET, "CR0.ET must be set", "set bit 4 (0x10)"),
    _cr0(
        "cr0-pg-without-pe", lambda case: case["cr0"] & (CR0_PE | CR0_PG) == CR0_PG, "CR0.PG needs CR0.PE",
        "set bit 0 as well, or clear bit 31 for a start without paging",
    ),
),)
_CR3 = Rule(
    "cr3-width", ("cr3",), "CR3 must lie within the domain's physical addresses",
    "give the physical address of the table",
    lambda case: bool(case["cr3"] >> case.physical_bits), SOURCE, releases=CHECKS_CR3,
    detail=lambda case: f" needs more than {case.physical_bits} bits", console=_line(_FROM_DOMAIN, "CR3", "cr3"),
)
_FLAGS = Rule(
    "flags-unknown", ("flags",), "only bit 0 is known: the FPU image is valid", "give 0 or 1",
    lambda case: bool(case["flags"] & ~FPU_INITIALISED), SOURCE,
    console=lambda case: f"bad flags value in CPU context: {hex_c(case['flags'])}",
)
_TSC_AUX = Rule(
    "tsc-aux-high-bits", ("msr_tsc_aux",), "TSC_AUX has 32 bits", "clear bits 32 and above",
    lambda case: is_wide(case["msr_tsc_aux"]), SOURCE, releases=Since("4.12"),
    console=_line(_FROM_VCPU, "MSR_TSC_AUX", "msr_tsc_aux"),
)
_KEEP_EVENT = "give 0, or the record's own event as it was saved"
# What these print exists in debug builds of Xen only.
_PENDING: Stage = ((
    Rule(
        "pending-event-type", ("pending_event",), f"type 1 and types above 6 do not exist{_CRASHES}", _KEEP_EVENT,
        lambda case: pending_type(case) in (_TYPE_RESERVED, _MOST_VMX + 1), _VENDOR_HOOK,
    ),
    Rule(
        "pending-event-type-svm", ("pending_event",), f"there are no event types above 4{_CRASHES}",
        "give 0, or save the record on a host of the same vendor",
        lambda case: case.features.vendor == AMD and (pending_type(case) or 0) > _MOST_SVM, _VENDOR_HOOK,
        vendor=AMD, releases=SVM_CHECKS_TYPE,
    ),
    Rule(
        "pending-event-reserved", ("pending_event",), f"bits 12 to 30 must be zero{_CRASHES}", _KEEP_EVENT,
        lambda case: pending_type(case) is not None and bool(case["pending_event"] & _PENDING_RESERVED), _VENDOR_HOOK,
    ),
    Rule(
        "error-code-width", ("error_code", "pending_event"), f"an error code has 16 bits{_CRASHES}",
        "clear bits 16 and above", _has_wide_error_code, _VENDOR_HOOK, releases=Since("4.9"),
    ),
),)

STAGES: Tuple[Stage, ...] = (
    ((_PAD,),), _CR0, *single(cr4_rule(_bad_cr4), *efer_rules("msr_efer", _bad_efer, knows_paging=True)),
    ((_debug("dr6"), _debug("dr7")),), *single(_CR3, _FLAGS, _TSC_AUX), _PENDING,
)
_MISSING = {"flags": FPU_INITIALISED, "pad0": 0}
"""What Xen takes for the fields that a record of 1024 bytes (4.6) lacks."""


@lru_cache(maxsize=None)
def stages(release: Release) -> Tuple[Stage, ...]:
    """The stages that a record goes through."""
    return in_release(STAGES, release)


def rules() -> Iterator[Rule]:
    """All rules of this interface, in Xen's order."""
    return (rule for stage in STAGES for chain in stage for rule in chain)


def case(
    image: Image, release: Release, features: Features = UNKNOWN, written: Optional[Written] = None
) -> Case:
    """The values that the rules look at."""
    return Case({**_MISSING, **image.values}, image, release, features, written=written)


def refusals(
    image: Image, release: Release, features: Features = UNKNOWN, vcpuid: Optional[int] = None
) -> Tuple[Finding, ...]:
    """What Xen answers to a CPU record: the findings of the first stage that fails, none if it loads it.

    Args:
        image: An image of `struct hvm_hw_cpu`.
        release: The running Xen.
        features: What the domain may do; what is unknown is taken as allowed.
        vcpuid: Not looked at; here so that both interfaces are called alike.
    """
    return first_refusal(stages(release), case(image, release, features))


def problems(
    image: Image, release: Release, features: Features = UNKNOWN, written: Optional[Written] = None
) -> Tuple[Finding, ...]:
    """Everything that Xen would refuse, one stage after the other; arguments as `refusals`, and `check_record`."""
    return all_refusals(stages(release), case(image, release, features, written))
