# SPDX-License-Identifier: MIT
"""Vcpus that announce themselves: each stores a number of its own in guest memory, and sleeps then.

The code is in the tiny guest's image, so that it is there before anything of the guest has run.
"""

from __future__ import annotations

from typing import List

from integration.guest import layout

_INTERRUPTS_ON = 0x202


def context(number: int) -> str:
    """Returns a context file; ``number`` tells one start from another."""
    return (
        'preset = "flat32"\n'
        f"eip = {layout.ANNOUNCE:#x}\n"
        f"eflags = {_INTERRUPTS_ON:#x}\n"
        f'esi = "{number:#x} + vcpuid"\n'
        f'edi = "{layout.ANNOUNCED:#x} + 4 * vcpuid"\n'
    )


def expected(number: int, vcpus: int) -> List[int]:
    """Returns what so many vcpus announce; vcpu 0 does not."""
    return [0, *(number + vcpuid for vcpuid in range(1, vcpus))]
