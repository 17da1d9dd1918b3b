# SPDX-License-Identifier: MIT
"""Which vcpus a domain's toolstack has offline: those of `maxvcpus` beyond `vcpus`, or unplugged since (`xl vcpu-set`).

It says so in xenstore, in `cpu/N/availability`, where the guest's operating system reads it. Xen does not know of it.
"""

from __future__ import annotations

from typing import Callable, Iterable, Tuple

from xenvcpu import vcpuset

Offline = Callable[[Iterable[int]], Tuple[int, ...]]
"""From some vcpus to those of them that the toolstack has offline, in order."""


def nobody(vcpuids: Iterable[int]) -> Tuple[int, ...]:
    """Where no toolstack says anything, none is offline by its word."""
    return ()


def note(offline: Iterable[int], *, is_left: bool) -> Tuple[str, ...]:
    """What there is to say of vcpus that the toolstack has offline; nothing where there are none.

    Args:
        offline: The vcpus.
        is_left: Whether they are left so; else they are started by name.
    """
    which = vcpuset.show(offline)
    if not which:
        return ()
    who = f"vcpu {which}" if which.isdigit() else f"vcpus {which}"
    word = f"{who}: offline by their toolstack's word (cpu/N/availability in xenstore)"
    if is_left:
        return (f"{word}, and left so; name them to start them anyway",)
    return (f"{word}; an operating system that goes by that does not use them",)
