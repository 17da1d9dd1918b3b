# SPDX-License-Identifier: MIT
"""From a domain's CPU policy to what its vcpus may set, as Xen computes it.

Source: hvm_cr4_guest_valid_bits, hvm_efer_valid and hvm_load_cpu_ctxt (arch/x86/hvm/hvm.c), 4.12 to 4.22. They ask for
nested virtualisation beside vmx and svm; the policy of a domain without it has neither (recalculate_cpuid_policy).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Collection, Iterable, Optional

from xenvcpu.abi.cpuid import FEATURES, Leaves
from xenvcpu.rules import control
from xenvcpu.rules.control import CR4_BITS, EFER_BITS, ControlBit
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release, Since

READABLE = Since("4.12")
"""The releases that show a domain's CPU policy (XEN_DOMCTL_get_cpu_policy)."""


def features(leaves: Leaves, release: Release) -> Features:
    """What a domain with this CPU policy may set in a release of Xen."""
    return Features(
        cr4_valid=_mask(CR4_BITS, leaves, release), efer_valid=_mask(EFER_BITS, leaves, release),
        maxphysaddr=leaves.maxphysaddr,
    )


def _mask(bits: Iterable[ControlBit], leaves: Leaves, release: Release) -> int:
    return sum(bit.mask for bit in bits if release in bit.releases and _allows(leaves, bit))


def _allows(leaves: Leaves, bit: ControlBit) -> bool:
    return not bit.feature or any(leaves.has(name) for name in bit.features if name in FEATURES)


def within(read: Features, given: Features) -> Features:
    """What is to be judged by, where a policy was read and a user gives one too.

    The stricter of the two holds for what a vcpu may set: Xen refuses what its policy lacks whatever a user says, and
    a user may want a context that suits more hosts than this one.
    """
    return replace(
        given, cr4_valid=_both(read.cr4_valid, given.cr4_valid), efer_valid=_both(read.efer_valid, given.efer_valid),
        maxphysaddr=min((width for width in (read.maxphysaddr, given.maxphysaddr) if width is not None), default=None),
    )


def _both(read: Optional[int], given: Optional[int]) -> Optional[int]:
    if read is None or given is None:
        return given if read is None else read
    return read & given


def without(known: Features, lacks: Collection[str], release: Release) -> Features:
    """What is known, but for the bits that only these CPU features allow. A mask that loses none stays as it is."""
    return replace(
        known, cr4_valid=_less(known.cr4_valid, CR4_BITS, lacks, control.cr4_known(release)),
        efer_valid=_less(known.efer_valid, EFER_BITS, lacks, control.efer_known(release)),
    )


def _less(mask: Optional[int], bits: Iterable[ControlBit], lacks: Collection[str], known: int) -> Optional[int]:
    gone = sum(bit.mask for bit in bits if bit.features and set(bit.features) <= set(lacks))
    return (known if mask is None else mask) & ~gone if gone else mask
