# SPDX-License-Identifier: MIT
"""The memory that a program and its guard share."""

from __future__ import annotations

import os
import uuid

import pytest

from xenvcpu.capture import Capture
from xenvcpu.errors import FormatError
from xenvcpu.guard import journal as journals
from xenvcpu.guard.journal import Journal
from xenvcpu.rules.release import KNOWN

CAPTURE = Capture(1, uuid.UUID(int=1), KNOWN[-1], "start", (1,), b"stream")


def test_each_side_sees_whether_somebody_else_held_a_pause() -> None:
    journal = Journal()
    shared = Journal(os.dup(journal.descriptor))
    assert journal.was_paused is shared.was_paused is False
    shared.was_paused = True
    assert journal.was_paused is True
    journal.close()
    shared.close()


def test_memory_that_was_given_back_is_closed_and_unmapped_once() -> None:
    journal = Journal()
    descriptor = journal.descriptor
    journal.close()
    assert journal.descriptor == -1
    with pytest.raises(OSError):
        os.fstat(descriptor)
    with pytest.raises(ValueError):
        assert journal.pause is None
    journal.close()


def test_the_place_of_a_capture_that_counts_is_never_written_over() -> None:
    journal = Journal()
    flags = []
    for _ in range(4):
        journal.touching(CAPTURE)
        flags.append(journal._memory[journals._TOUCHING])
    assert set(flags) == {1, 2} and all(one != following for one, following in zip(flags, flags[1:]))
    journal.close()


@pytest.mark.parametrize("number", [3, 255])
def test_a_place_that_there_is_none_of_is_told(number: int) -> None:
    journal = Journal()
    journal._memory[journals._TOUCHING] = number
    with pytest.raises(FormatError, match=f"no capture {number}"):
        assert journal.capture is None
    journal.close()
