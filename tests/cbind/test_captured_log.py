# SPDX-License-Identifier: MIT
"""The log of the Xen libraries, with the real libxentoollog."""

from __future__ import annotations

import errno
import gc
import weakref
from typing import Any, Iterator, cast

import pytest

from xenvcpu.capturedlog import CapturedLog
from xenvcpu.errors import LibraryMissingError
from xenvcpu.libraries import Libraries
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries

LIBRARIES = Libraries()
ERROR, DEBUG = LIBRARIES.ffi.integer_const("XTL_ERROR"), LIBRARIES.ffi.integer_const("XTL_DEBUG")


@pytest.fixture
def log() -> Iterator[CapturedLog]:
    try:
        captured = LIBRARIES.new_log()
    except LibraryMissingError as error:
        pytest.skip(str(error))
    yield captured
    captured.close()


def write(log: CapturedLog, text: str, level: int = ERROR, errnoval: int = -1) -> None:
    """Log through the library, as libxenctrl does: a format and its arguments."""
    ffi = LIBRARIES.ffi
    argument = ffi.new("char[]", text.encode())
    LIBRARIES.xentoollog.xtl_log(log.handle, level, errnoval, b"xc", b"%s", argument)


def test_a_new_log_is_empty(log: CapturedLog) -> None:
    assert log.take() == ""


def test_a_message_has_its_source_its_level_and_what_errno_means(log: CapturedLog) -> None:
    write(log, "cannot pause", errnoval=errno.ESRCH)
    assert log.take() == "xc: error: cannot pause: No such process"


def test_lines_come_in_order_and_once(log: CapturedLog) -> None:
    write(log, "first, and longer than the other")
    write(log, "second")
    assert log.take().splitlines() == ["xc: error: first, and longer than the other", "xc: error: second"]
    assert log.take() == ""


def test_a_shorter_line_after_a_longer_one_has_nothing_of_it_left(log: CapturedLog) -> None:
    write(log, "x" * 10000)
    assert len(log.take()) == 10000 + len("xc: error: ")
    write(log, "short")
    assert log.take() == "xc: error: short"


def test_of_a_log_without_end_the_end_is_kept(log: CapturedLog) -> None:
    for number in range(5000):
        write(log, f"line {number}")
    taken = log.take()
    assert taken.endswith("xc: error: line 4999")
    assert len(taken) <= 1 << 14
    assert log.take() == ""


def test_chatter_below_info_is_left_out(log: CapturedLog) -> None:
    write(log, "detail", level=DEBUG)
    assert log.take() == ""


def test_taking_the_log_leaves_errno_alone(log: CapturedLog) -> None:
    LIBRARIES.ffi.errno = errno.EEXIST
    log.take()
    assert LIBRARIES.ffi.errno == errno.EEXIST


def test_closing_twice_does_nothing(log: CapturedLog) -> None:
    log.close()
    log.close()


def test_a_log_that_is_dropped_unclosed_is_freed(log: CapturedLog) -> None:
    for _ in range(100):
        write(LIBRARIES.new_log(), "dropped")
    gc.collect()
    write(log, "still here")
    assert log.take() == "xc: error: still here"


class WatchingLibC:
    """The C library, and whether what a stream writes its size to was still there when it was closed."""

    def __init__(self) -> None:
        self.was_there: list[bool] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(LIBRARIES.libc, name)

    def open_memstream(self, text: Any, size: Any) -> Any:
        self._size = weakref.ref(size)
        return LIBRARIES.libc.open_memstream(text, size)

    def fclose(self, stream: Any) -> int:
        self.was_there.append(self._size() is not None)
        return int(LIBRARIES.libc.fclose(stream))


class WatchedLibraries:
    """The model's logger, on a C library that is watched."""

    def __init__(self) -> None:
        self.ffi, self.libc, self.xentoollog = LIBRARIES.ffi, WatchingLibC(), ModelLibraries(worlds.new()).xentoollog


def test_a_log_that_is_dropped_unclosed_is_closed_while_its_buffer_is_there() -> None:
    libraries = WatchedLibraries()
    CapturedLog(cast(Libraries, libraries))
    gc.collect()
    assert libraries.libc.was_there == [True]


def test_what_libxenctrl_says_when_it_cannot_open_is_captured_and_not_printed(
    log: CapturedLog, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        library = LIBRARIES.xenctrl
    except LibraryMissingError as error:
        pytest.skip(str(error))
    handle = library.xc_interface_open(log.handle, log.handle, 0)
    if handle != LIBRARIES.ffi.NULL:
        library.xc_interface_close(handle)
        pytest.skip("libxenctrl can be opened on this host")
    assert "error: Could not obtain handle on privileged command interface" in log.take()
    assert capfd.readouterr() == ("", "")
