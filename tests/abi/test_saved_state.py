# SPDX-License-Identifier: MIT
"""A full save as a start reads it: whatever the bytes are, it is understood or refused with the offset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.abi.abi_strategies import blobs
from xenvcpu.abi import cpu_record, mtrr, save_stream
from xenvcpu.abi.save_stream import END, Record, Typecode
from xenvcpu.errors import FormatError
from xenvcpu.rules.release import KNOWN
from xenvcpu.savedstate import SavedState

HEADER = save_stream.header(cpuid=0x800F12)
LENGTHS = {Typecode.CPU: (cpu_record.SIZE, 1024), Typecode.MTRR: (mtrr.LAYOUT.size,), Typecode.CPU_XSAVE: (600, 832)}


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record of a length that its type has, with anything in it."""
    typecode = draw(st.sampled_from(list(LENGTHS)))
    return Record(typecode, draw(st.integers(0, 5)), draw(st.sampled_from(LENGTHS[typecode]).flatmap(blobs)))


@given(st.lists(records(), max_size=12), st.sampled_from(KNOWN))
def test_what_puts_the_vcpus_back_saves_the_same_vcpus(found: list[Record], release: object) -> None:
    state = SavedState.parse(save_stream.join([HEADER, *found, END]), release)  # type: ignore[arg-type]
    again = SavedState.parse(state.restoring_stream(), release)  # type: ignore[arg-type]
    assert (state.header, state.cpu, state.tsc) == (again.header, again.cpu, again.tsc)
    assert state.own_pats == again.own_pats


@pytest.mark.parametrize(
    ("typecode", "size"),
    [(Typecode.CPU, 0), (Typecode.CPU, 1016), (Typecode.CPU, 1033), (Typecode.MTRR, 7), (Typecode.MTRR, 241)],
)
def test_a_record_of_a_length_that_its_type_never_has_is_refused_with_its_offset(typecode: int, size: int) -> None:
    stream = save_stream.join([HEADER, Record(typecode, 3, bytes(size)), END])
    with pytest.raises(FormatError, match=f"of instance 3 at offset 32 has {size} bytes") as caught:
        SavedState.parse(stream)
    assert caught.value.offset == 32


@pytest.mark.parametrize("size", [0, 23, 25])
def test_a_header_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(FormatError, match="HEADER record") as caught:
        SavedState.parse(save_stream.join([Record(Typecode.HEADER, 0, bytes(size)), END]))
    assert caught.value.offset == 0


@pytest.mark.parametrize("first", [[], [Record(Typecode.CPU, 0, bytes(cpu_record.SIZE))]])
def test_a_stream_that_does_not_begin_with_a_header_is_refused(first: list[Record]) -> None:
    with pytest.raises(FormatError, match="begins with HEADER"):
        SavedState.parse(save_stream.join([*first, END]))
