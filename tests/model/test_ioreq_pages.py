# SPDX-License-Identifier: MIT
"""The pages of ioreq servers as libxenforeignmemory maps them: who may, which there are, and what they show."""

from __future__ import annotations

import errno

import pytest

from xenvcpu._xen import ffi
from xenvcpu.abi import ioreq
from xenvcpu.model.standin import MisuseError
from xenvcpu.model.worlds import open_world

DB = 1


def test_an_ioreq_page_shows_what_a_vcpu_asks_for_until_it_is_unmapped() -> None:
    libraries = open_world("hvm")
    memory = libraries.xenforeignmemory.xenforeignmemory_open(ffi.NULL, 0)
    place = ffi.new("void **")
    resource = libraries.xenforeignmemory.xenforeignmemory_map_resource(memory, DB, 0, 0, 1, 1, place, 1, 0)
    server = libraries.host.named("db").ioreq_servers[0]
    server.ask(3)
    assert ioreq.waiting(bytes(ffi.buffer(place[0], 4096))) == server.waiting == (3,)
    assert libraries.leaks == {"libxenforeignmemory": 1, "mappings": 1}
    assert libraries.xenforeignmemory.xenforeignmemory_unmap_resource(memory, resource) == 0
    with pytest.raises(MisuseError):
        libraries.xenforeignmemory.xenforeignmemory_unmap_resource(memory, resource)
    assert "mappings" not in libraries.leaks


@pytest.mark.parametrize(("domid", "kind", "server", "frame", "number"), [
    (DB, 0, 1, 1, errno.ENOENT), (DB, 0, 0, 0, errno.EINVAL), (DB, 1, 0, 1, errno.EINVAL),
    (0, 0, 0, 1, errno.EINVAL), (9, 0, 0, 1, errno.ESRCH),
])
def test_any_other_resource_is_refused_as_xen_does(
    domid: int, kind: int, server: int, frame: int, number: int
) -> None:
    library = open_world("hvm").xenforeignmemory
    memory = library.xenforeignmemory_open(ffi.NULL, 0)
    place = ffi.new("void **")
    assert library.xenforeignmemory_map_resource(memory, domid, kind, server, frame, 1, place, 1, 0) == ffi.NULL
    assert ffi.errno == number


def test_a_guest_may_not_map_one() -> None:
    library = open_world("hvm", here="db").xenforeignmemory
    memory = library.xenforeignmemory_open(ffi.NULL, 0)
    assert library.xenforeignmemory_map_resource(memory, DB, 0, 0, 1, 1, ffi.new("void **"), 1, 0) == ffi.NULL
    assert ffi.errno == errno.EPERM
