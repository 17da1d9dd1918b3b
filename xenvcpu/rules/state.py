# SPDX-License-Identifier: MIT
"""The state that a vcpu would get, as a case for the lints.

The lints look at the fields of a CPU record, whatever was given; what they say names the
fields of what was given: a context, or one of the structs.
"""

from __future__ import annotations

from typing import Optional

from xenvcpu.abi.registers import AR_L, AR_P, EFER_LMA
from xenvcpu.abi.layout import Image
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.written import NAMES, Written
from xenvcpu.rules import effect
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.rule import Case


def of_context(
    image: Image, release: Release, features: Features = UNKNOWN, written: Optional[Written] = None
) -> Case:
    """The state after VCPUOP_initialise on a fresh vcpu, with the field names of `struct vcpu_hvm_context`."""
    state = effect.after_initialise(image, release).values
    return Case(state, image, release, features, NAMES[Mode(image["mode"])], written)


def of_record(
    image: Image, release: Release, features: Features = UNKNOWN, written: Optional[Written] = None
) -> Case:
    """The state after the load of a CPU record."""
    return Case(effect.after_load(image, release).values, image, release, features, written=written)


def is_long(case: Case) -> bool:
    """Whether the vcpu is in long mode (64-bit or compatibility), as Xen and VM entry see it."""
    return bool(case["msr_efer"] & EFER_LMA)


def is_64bit(case: Case) -> bool:
    """Whether the vcpu executes 64-bit code."""
    return is_long(case) and bool(case["cs_arbytes"] & AR_L)


def is_present(case: Case, segment: str) -> bool:
    """Whether a segment can be used; Xen tells VT-x that it cannot when P is clear."""
    return bool(case[f"{segment}_arbytes"] & AR_P)
