# SPDX-License-Identifier: MIT
"""A plugin for pytest: every run draws the same examples, and one that fails is not made smaller, which takes long."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Behind the profile that the tests load, and before the first of them is read."""
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", settings.default, phases=phases, database=None, derandomize=True)
    settings.load_profile("mutants")
