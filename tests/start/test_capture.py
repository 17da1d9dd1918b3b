# SPDX-License-Identifier: MIT
"""A capture as bytes and as JSON."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.capture import Capture
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import FormatError
from xenvcpu.rules.release import KNOWN

NUMBERS = st.integers(0, (1 << 16) - 1)
CAPTURES = st.builds(
    Capture, NUMBERS, st.uuids(), st.sampled_from(KNOWN), st.sampled_from(("start", "stop")),
    st.lists(NUMBERS, max_size=9).map(tuple), st.binary(max_size=99),
)


@given(CAPTURES, st.binary(max_size=9))
def test_what_is_written_is_read_again_whatever_follows(capture: Capture, behind: bytes) -> None:
    assert Capture.unpack(b"".join(capture.parts()) + behind) == capture


@given(CAPTURES, st.data())
def test_one_that_is_cut_off_is_told_with_its_offset(capture: Capture, data: st.DataObject) -> None:
    whole = b"".join(capture.parts())
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(FormatError, match="cut off") as caught:
        Capture.unpack(whole[:end])
    assert caught.value.offset == end


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    try:
        Capture.unpack(data)
    except FormatError:
        pass


def test_a_real_one_goes_through_json(web: Dom0Domain) -> None:
    port = web._port
    stream = port.read_context(web.domid, port.context_buffer(web.domid))
    capture = Capture(web.domid, web.info.handle, web.release, "start", (1, 2), stream)
    assert Capture.from_dict(capture.as_dict()) == capture
    assert capture.fresh == (1, 2) and capture.state.online == (0,)


def test_a_stream_that_is_none_is_no_capture() -> None:
    capture = Capture(1, uuid.UUID(int=1), KNOWN[0], "start", (1,), b"no stream")
    with pytest.raises(FormatError):
        Capture.from_dict(capture.as_dict())
