# SPDX-License-Identifier: MIT
"""libvirt's own in-memory driver, with a domain that a world file has too."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import Any, Iterator

import pytest

URI = "test:///default"
CONTEXT = '{"preset": "flat32", "eip": "0x100000 + vcpuid"}'
OURS = "urn:xenvcpu:declaration:1"


def handle(world: str, name: str = "web") -> uuid.UUID:
    """The UUID of a domain of a world."""
    from xenvcpu.host import open_host

    with open_host(world) as host:
        return host.domain(name).info.handle


def online(world: str, name: str = "web") -> list[int]:
    """The vcpus of a domain of a world that are up."""
    from xenvcpu.host import open_host

    with open_host(world) as host:
        return [vcpu.vcpuid for vcpu in host.domain(name).vcpus() if vcpu.is_online]


def domain_xml(uuid: object, metadata: str = "", name: str = "web", vcpus: int = 4, driver: str = "test") -> str:
    """What libvirt's definition of a domain looks like."""
    return (
        f"<domain type='{driver}'><name>{name}</name><uuid>{uuid}</uuid><metadata>{metadata}</metadata>"
        f"<memory>8192</memory><vcpu>{vcpus}</vcpu><os><type>hvm</type></os></domain>"
    )


def element(inner: str = f"<x:context>{CONTEXT}</x:context>", attributes: str = "", space: str = OURS) -> str:
    """A declaration as it stands in a domain's metadata."""
    return f'<x:declaration xmlns:x="{space}" {attributes}>{inner}</x:declaration>'


def of_xen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What libvirt says of its domains from now on is what Xen's driver says, where each of them is HVM."""
    libvirt = pytest.importorskip("libvirt")
    plain = libvirt.virDomain.XMLDesc

    def text(self: Any, flags: int = 0) -> str:
        return str(plain(self, flags)).replace("<domain type='test'", "<domain type='xen'")

    monkeypatch.setattr(libvirt.virDomain, "XMLDesc", text)


@contextmanager
def connected() -> Iterator[Any]:
    """libvirt's own connection; what is done through it is seen through every other of this process."""
    pytest.importorskip("libvirt")
    from xenvcpu.toolstacks.libvirt.library import library

    raw = library().open(URI)
    try:
        yield raw
    finally:
        raw.close()
