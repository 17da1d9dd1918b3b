# SPDX-License-Identifier: MIT
"""What a domain's CPU policy allows: the masks that bound CR4, EFER and CR3."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Optional


class Interface(str, enum.Enum):
    """The two ways to give a vcpu its first state."""

    VCPUOP = "vcpuop"
    """VCPUOP_initialise, by the guest itself."""
    DOMCTL = "domctl"
    """XEN_DOMCTL_sethvmcontext, by dom0."""


@dataclass(frozen=True)
class Features:
    """The masks of one domain; None is unknown, and a verdict that needs it says so.

    Attributes:
        cr4_valid: The CR4 bits that the domain may set.
        efer_valid: The EFER bits that the domain may set.
        maxphysaddr: Width of a guest-physical address, in bits.
        vendor: `intel` (VT-x) or `amd` (SVM) as the host has it.
        is_hap: Whether the domain uses hardware-assisted paging; shadow paging else.
        registered_vcpu_info: Whether a vcpu numbered 32 or above has a registered vcpu_info.
        is_debug_build: Whether Xen is a debug build, by its own word. A start asks Xen, and takes nobody else's.
    """

    cr4_valid: Optional[int] = None
    efer_valid: Optional[int] = None
    maxphysaddr: Optional[int] = None
    vendor: Optional[str] = None
    is_hap: bool = True
    registered_vcpu_info: Optional[bool] = None
    is_debug_build: Optional[bool] = None


UNKNOWN = Features()
