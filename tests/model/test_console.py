# SPDX-License-Identifier: MIT
"""Xen's console ring."""

from __future__ import annotations

from xenvcpu.model.console import SIZE, Console


def test_a_line_has_xens_prefix() -> None:
    console = Console()
    console.print("hello")
    assert console.lines == ["(XEN) hello"]


def test_a_read_starts_at_the_beginning_unless_incremental() -> None:
    console = Console("abc")
    assert console.read(2) == (b"ab", 2)
    assert console.read(9, 2) == (b"abc", 3)
    assert console.read(9, 2, incremental=True) == (b"c", 3)


def test_an_index_that_was_never_produced_counts_for_nothing() -> None:
    assert Console("abc").read(9, 7, incremental=True) == (b"abc", 3)


def test_the_ring_keeps_the_last_16_kib() -> None:
    console = Console()
    for number in range(2000):
        console.print(f"line {number}")
    assert len(console.text) == SIZE
    data, end = console.read(SIZE, 5, incremental=True)
    assert (len(data), end) == (SIZE, console.produced)


def test_a_clear_forgets_what_was_read() -> None:
    console = Console("abc")
    console.read(2, clear=True)
    assert console.read(9)[0] == b"c"
