# SPDX-License-Identifier: MIT
"""A host before the model, and what Xen holds behind it."""

from __future__ import annotations

from typing import Dict, Iterator, List

import pytest

from xenvcpu.context.presets import flat32
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries


def context(vcpuid: int) -> VcpuContext:
    """What tests start a vcpu with."""
    return flat32(0x100000, 0x80000 + 0x1000 * vcpuid, eax=vcpuid)


def vcpus_as_xen_has_them(libraries: ModelLibraries) -> List[Dict[str, object]]:
    """Every vcpu of `web`: its state without the TSC, which goes on, and its registers only while it is up."""
    web = libraries.host.named("web")
    return [
        {
            "initialised": vcpu.is_initialised, "down": vcpu.is_down,
            "cpu": None if vcpu.is_down else vcpu.state,
            "xsave": vcpu.xsave,
        }
        for vcpu in web.vcpus
    ]


@pytest.fixture
def libraries() -> Iterator[ModelLibraries]:
    """The C libraries of the world `pvh`; every handle must be given back."""
    made = ModelLibraries(worlds.pvh())
    yield made
    assert made.leaks == {}


@pytest.fixture
def host(libraries: ModelLibraries) -> Iterator[Host]:
    with Host("model", libraries) as opened:
        yield opened


@pytest.fixture
def web(host: Host) -> Dom0Domain:
    return host.domains()[0]
