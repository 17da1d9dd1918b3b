# SPDX-License-Identifier: MIT
"""The state that a vcpu would get, as a case for the lints.

The lints look at the fields of a CPU record, whatever was given; what they say names the
fields of the struct that was given. The one place where the two are matched.
"""

from __future__ import annotations

from xenvcpu.abi.registers import AR_L, AR_P, EFER_LMA
from xenvcpu.abi.layout import Image
from xenvcpu.abi.vcpu_hvm_context import SEGMENTS, Mode
from xenvcpu.rules import effect
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.rule import Case

_FIELDS_64B = {"msr_efer": "efer"}
_FIELDS_32B = {
    **_FIELDS_64B,
    **{f"r{name}": f"e{name}" for name in "ax cx dx bx sp bp si di ip flags".split()},
    **{f"{name}_arbytes": f"{name}_ar" for name in SEGMENTS},
}


def of_context(image: Image, release: Release, features: Features = UNKNOWN) -> Case:
    """The state after VCPUOP_initialise on a fresh vcpu, with the field names of `struct vcpu_hvm_context`."""
    fields = _FIELDS_64B if image["mode"] == Mode.VCPU_HVM_MODE_64B else _FIELDS_32B
    return Case(effect.after_initialise(image, release).values, image, release, features, fields)


def of_record(image: Image, release: Release, features: Features = UNKNOWN) -> Case:
    """The state after the load of a CPU record."""
    return Case(effect.after_load(image, release).values, image, release, features)


def is_long(case: Case) -> bool:
    """Whether the vcpu is in long mode (64-bit or compatibility), as Xen and VM entry see it."""
    return bool(case["msr_efer"] & EFER_LMA)


def is_64bit(case: Case) -> bool:
    """Whether the vcpu executes 64-bit code."""
    return is_long(case) and bool(case["cs_arbytes"] & AR_L)


def is_present(case: Case, segment: str) -> bool:
    """Whether a segment can be used; Xen tells VT-x that it cannot when P is clear."""
    return bool(case[f"{segment}_arbytes"] & AR_P)
