# SPDX-License-Identifier: MIT
"""Xen's own line at boot, and whether it is of a debug build."""

from __future__ import annotations

import pytest

from xenvcpu.abi import banner


@pytest.mark.parametrize("text, said", [
    ("Xen\n(XEN) Xen version 4.17.3 (Debian) (a@b) (gcc 12) debug=n Mon Jan  1\n", False),
    ("Xen\n(XEN) Xen version 4.11.4 (a@b) (gcc) debug=y  Mon\n", True),
    ("Xen\n(XEN) [    0.000000] Xen version 4.21.1 (a@b) (gcc) debug=n ubsan=y Mon\n", False),
    ("x\n(d1) (XEN) Xen version 4.17.3 (a@b) (gcc) debug=n Mon\n", None),
    ("x\n(XEN) Xen version 4.17.3\n(d1) debug=n \n", None), ("", None),
    ("x\n(XEN) Xen version 4.9 debug=n x\n(XEN) Xen version 4.9 debug=y x\n", True),
])
def test_xens_word_is_its_own_line_at_boot_and_no_guests(text: str, said: bool | None) -> None:
    assert banner.is_debug_build(text, is_whole=False) is banner.is_debug_build(text, is_whole=True) is said


def test_the_first_line_counts_only_where_nothing_has_left_the_ring() -> None:
    line = "(XEN) Xen version 4.17.7 (Debian) (a@b) (gcc) debug=n Wed Nov\n"
    assert banner.is_debug_build(line, is_whole=True) is False and banner.is_debug_build(line, is_whole=False) is None


@pytest.mark.parametrize("is_debug", [True, False])
def test_the_line_that_the_model_prints_is_read_as_xens(is_debug: bool) -> None:
    printed = f"(XEN) {banner.line('4.17.3', is_debug)}\n"
    assert banner.is_debug_build(printed, is_whole=True) is is_debug
