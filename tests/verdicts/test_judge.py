# SPDX-License-Identifier: MIT
"""The recorder's own parts, without a Xen."""

from __future__ import annotations

from integration.verdicts.judge import is_noise, named_alike


def test_console_lines_are_told_apart_by_domain() -> None:
    """The recorder calls its domain 1, and leaves dom0 and other domains' names alone."""
    assert named_alike("(XEN) d12v0 Non-code segment provided for CS", 12) == "d1v0 Non-code segment provided for CS"
    assert named_alike("(XEN) HVM12 restore: bad CR0 0x1", 12) == "HVM1 restore: bad CR0 0x1"
    assert named_alike("(XEN) d0v0 bad flags value", 12) == "d0v0 bad flags value"
    assert named_alike("(XEN) d1v0 x", 12) == "d1v0 x"


def test_what_xen_prints_about_its_own_serial_port_is_no_answer() -> None:
    assert is_noise("uart interrupt taking more than 4ms, switched to polling")
    assert not is_noise("printk: 10 messages suppressed.")
