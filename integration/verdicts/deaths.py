# SPDX-License-Identifier: MIT
"""Of each fatal lint, what the lab has seen: the domain died, it ran on all the same, or nothing there comes to it.

The processor there is SVM as QEMU 7.2 emulates it. Those of VT-x cannot be seen there, and stand in the rules as such.
"""

from __future__ import annotations

from typing import Mapping

SHOWN = frozenset((
    "nw-without-cd", "cr0-high-bits", "long-mode-without-pae", "lme-without-lma", "cs-l-and-d", "cr3-beyond-width",
    "rip-beyond-canonical", "exception-vector-svm",
))
"""Xen took the state, the vcpu was let run, and the domain was gone."""

LET_RUN: Mapping[str, str] = {
    "rip-outside-limit": "APM volume 2, 4.12: QEMU looks at no segment limit",
    "cs-not-present": "APM volume 2, 15.5.1: QEMU runs a CS without P",
    "pg-without-pe": "APM volume 2, 15.19: undefined where page faults are not intercepted; QEMU runs it",
    "dr7-beyond-32-bits": "APM volume 2, 15.5.1: QEMU does not look at DR7; from 4.18 on the load refuses it",
    "rip-above-4g": "APM volume 2, 4.12: as rip-outside-limit, for no limit is that large",
}
"""Those whose states the emulated processor runs: where they stand, and why it does not show."""

UNREACHED: Mapping[str, str] = {
    "cet-without-wp": "no domain here may set CR4.CET, so Xen refuses it first",
    "dr6-beyond-32-bits": "Xen has refused it since 4.12, and no older one runs here",
    "efer-reserved": "Xen has refused it since 4.8 to 4.12, and no older one runs here",
}
"""Those that no domain of the lab comes to."""


def seen(rule: str) -> str:
    """What was seen of a fatal lint; empty for one of VT-x alone."""
    if rule in SHOWN:
        return "the domain dies of it, on an emulated SVM processor below Xen 4.14, 4.17 and 4.20"
    if rule in LET_RUN:
        return f"not shown, for the emulated processor lets it run: {LET_RUN[rule]}"
    return f"not shown: {UNREACHED[rule]}" if rule in UNREACHED else ""
