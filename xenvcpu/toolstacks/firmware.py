# SPDX-License-Identifier: MIT
"""Guests that begin with a firmware, in whose way a vcpu that is started early would be."""

from __future__ import annotations

from xenvcpu.allowances import Allowance
from xenvcpu.errors import DomainError

_HVMLOADER = (
    "domain {}: an HVM guest begins with hvmloader, which starts the secondary vcpus itself: over one that is started"
    " already it panics (4.19 and later), or it resets it. Let it boot by itself, and start its vcpus with"
    f" `xenvcpu start` once its firmware is done; {Allowance.FIRMWARE.option} starts it anyway"
)


def refusal(name: str) -> DomainError:
    """What is raised for a domain of that name where hvmloader would run first."""
    return DomainError(_HVMLOADER.format(name))
