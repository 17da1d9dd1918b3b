# SPDX-License-Identifier: MIT
"""A host before the model, and what Xen holds behind it."""

from __future__ import annotations

from typing import Iterator

import pytest

from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries


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
