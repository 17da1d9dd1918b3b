# SPDX-License-Identifier: MIT
"""Small worlds for the model's tests."""

from __future__ import annotations

from typing import Iterator

import pytest

from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.worlds import open_world


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
