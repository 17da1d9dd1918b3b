# SPDX-License-Identifier: MIT
"""The reference facts about Xen, and small worlds for the model's tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterator

import pytest

from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.worlds import open_world

_DEFAULT = Path(__file__).parents[2] / ".." / "shared" / "facts" / "xen-abi.json"


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """`xen-abi.json`; XENVCPU_FACTS names another place for it."""
    path = Path(os.environ.get("XENVCPU_FACTS", _DEFAULT))
    if not path.is_file():
        pytest.skip("xen-abi.json is not here (XENVCPU_FACTS names it)")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@pytest.fixture
def libraries() -> Iterator[ModelLibraries]:
    """The libraries of the world `pvh`, seen from dom0."""
    with open_world("pvh") as opened:
        yield opened


@pytest.fixture
def inside() -> Iterator[ModelLibraries]:
    """The libraries of the world `pvh`, seen from inside its guest."""
    with open_world("pvh", here="web") as opened:
        yield opened
