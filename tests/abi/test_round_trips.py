# SPDX-License-Identifier: MIT
"""Every struct that is taken apart comes back: bytes as the same bytes, values as the same values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.abi.abi_strategies import blobs, numbers
from xenvcpu.abi import (
    cpu_msr, cpu_record, domain_info, draft2015, guest_context, mtrr, save_stream, vcpu_hvm_context, vcpu_info, xsave,
)
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.abi.layout import Layout
from xenvcpu.errors import FormatError
from xenvcpu.rules.release import KNOWN, Release

LAYOUTS: dict[str, Layout] = {
    "save_descriptor": save_stream.DESCRIPTOR_LAYOUT, "save_header": save_stream.HEADER_LAYOUT,
    "cpu_record": cpu_record.LAYOUT, "cpu_record of 4.6": cpu_record.LAYOUT_46, "mtrr": mtrr.LAYOUT,
    "cpu_msr": cpu_msr.HEAD_LAYOUT, "cpu_msr entry": cpu_msr.ENTRY_LAYOUT, "xsave": xsave.layout(832),
    "vcpu_hvm_context 32B": vcpu_hvm_context.LAYOUT_32B, "vcpu_hvm_context 64B": vcpu_hvm_context.LAYOUT_64B,
    **{f"draft2015 {mode.name}": layout for mode, layout in draft2015.LAYOUTS.items()},
    "guest_context": guest_context.LAYOUT, "domain_info": domain_info.LAYOUT, "vcpu_info": vcpu_info.LAYOUT,
    "runstate_info": vcpu_info.RUNSTATE_LAYOUT, "runstate_info 32": vcpu_info.RUNSTATE_LAYOUT_32,
}
each_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))


@each_layout
@given(data=st.data())
def test_bytes_come_back_as_the_same_bytes(layout: Layout, data: st.DataObject) -> None:
    raw = data.draw(blobs(layout.size))
    assert layout.unpack(raw).pack() == raw


@each_layout
@given(data=st.data())
def test_values_come_back_as_the_same_values(layout: Layout, data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(list(layout.fields))))
    values = {name: data.draw(numbers(8 * layout.fields[name].size)) for name in names}
    image = layout.image(values, data.draw(blobs(layout.rest_size)))
    again = layout.unpack(image.pack())
    assert again == image
    assert {name: again[name] for name in names} == values


@each_layout
@given(size=st.integers(0, 6000))
def test_another_number_of_bytes_is_refused_with_an_offset(layout: Layout, size: int) -> None:
    if size == layout.size:
        return
    with pytest.raises(FormatError, match=layout.name) as caught:
        layout.unpack(bytes(size))
    assert caught.value.offset is not None and 0 <= caught.value.offset <= size


@given(blobs(112), st.sampled_from(KNOWN))
def test_what_is_read_of_a_domain_reads_the_same_when_it_is_written(raw: bytes, release: Release) -> None:
    info: DomainInfo = domain_info.decode(raw, release)
    assert domain_info.decode(domain_info.encode(info, release), release) == info
