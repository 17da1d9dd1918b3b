# SPDX-License-Identifier: MIT
"""What Xen prints when it fails is told apart from what else stands on its console."""

import pytest

from integration.lab.xenfaults import around, faults


@pytest.mark.parametrize("line", [
    "(XEN) Panic on CPU 0:",
    "(XEN) [2026-12-01 02:43:40] Panic on CPU 3:",
    "(XEN) [    7.123456] Xen BUG at domain.c:1234",
    "(XEN) Assertion 'v == current' failed at hvm.c:12",
    "(XEN) FATAL PAGE FAULT",
    "a dom0 line without its end (XEN) FATAL TRAP: vec 6, #UD[0000]",
])
def test_a_fault_of_xen(line: str) -> None:
    """Four kinds, with a time or without."""
    assert line in faults(["before", line, "after"])


@pytest.mark.parametrize("line", [
    "(XEN) Xen WARN at mm.c:1",
    "(XEN) d1v0 Triple fault - invoking HVM shutdown action 1",
    "modprobe: FATAL: Module xenfs not found in directory",
    "Kernel panic - not syncing: Fatal exception",
    "(XEN) (d1) Panic on CPU 0: of a guest",
])
def test_no_fault_of_xen(line: str) -> None:
    """A warning, the end of a guest, and what dom0 and guests print."""
    assert faults([line]) == [] and around([line]) == []


def test_the_lines_around_hold_the_registers_and_the_reason() -> None:
    """Not the whole console."""
    lines = [str(number) for number in range(200)] + ["(XEN) Panic on CPU 0:", "why"] + ["after"] * 100
    assert faults(lines) == ["(XEN) Panic on CPU 0:", "why"]
    assert around(lines) == lines[130:210]
