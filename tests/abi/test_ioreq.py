# SPDX-License-Identifier: MIT
"""Which vcpus are in the middle of an access to an emulated device, by the page of an ioreq server."""

from __future__ import annotations

from typing import Dict

import pytest

from xenvcpu.abi import ioreq

PAGE = 4096
# The bytes of a running guest's: a read of one byte from port 0x1f2, taken by the device model (state 2).
READ = bytes.fromhex("f201000000000000 0000000000000000 01000000 01000000 05000000 0000 22 00")


def page(**slots: bytes) -> bytes:
    """A page with accesses by vcpu, as `v3`."""
    found = bytearray(PAGE)
    for name, access in slots.items():
        start = int(name[1:]) * ioreq.SIZE
        found[start : start + ioreq.SIZE] = access
    return bytes(found)


def test_an_access_is_found_for_the_vcpu_in_whose_place_it_stands() -> None:
    assert len(READ) == ioreq.SIZE
    assert ioreq.waiting(page(v0=READ, v5=READ, v127=READ)) == (0, 5, 127)
    assert ioreq.waiting(bytes(PAGE)) == ()


def test_an_access_is_written_as_xen_writes_it() -> None:
    assert ioreq.encode(ioreq.STATE_INPROCESS) == bytes(30) + READ[30:]
    written = ioreq.encode(ioreq.STATE_INPROCESS, ioreq.TYPE_COPY, is_read=False, data_is_ptr=True)
    assert written == bytes(30) + bytes.fromhex("12 01")


@pytest.mark.parametrize("state", range(16))
def test_any_state_but_none_is_an_access(state: int) -> None:
    assert ioreq.waiting(page(v1=ioreq.encode(state))) == ((1,) if state else ())


NEEDS: Dict[str, bytes] = {
    "read from a port": ioreq.encode(1), "read from memory": ioreq.encode(1, ioreq.TYPE_COPY),
    "write to memory": ioreq.encode(1, ioreq.TYPE_COPY, is_read=False),
    "write to configuration space": ioreq.encode(1, 2, is_read=False),
}
NEEDS_NOT: Dict[str, bytes] = {
    "write to a port": ioreq.encode(1, is_read=False), "string read from a port": ioreq.encode(1, data_is_ptr=True),
    "copy of memory": ioreq.encode(1, ioreq.TYPE_COPY, data_is_ptr=True),
}


@pytest.mark.parametrize("what", [*NEEDS, *NEEDS_NOT])
def test_it_counts_where_the_vcpu_has_to_end_it(what: str) -> None:
    access = {**NEEDS, **NEEDS_NOT}[what]
    assert ioreq.waiting(page(v2=access)) == ((2,) if what in NEEDS else ())
