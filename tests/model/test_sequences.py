# SPDX-License-Identifier: MIT
"""Any sequence of calls leaves the model of every release in order: the state machine that real Xens went through."""

from __future__ import annotations

import pytest

from integration.verdicts import machine


@pytest.mark.parametrize("release", ["4.7", "4.14", "4.22"])
def test_no_sequence_of_calls_breaks_an_invariant(release: str) -> None:
    """A vcpu that is up is initialised and saved; a refused call changes nothing; what was destroyed is gone."""
    made = machine.run(release, 15)
    assert sum(map(len, made)) > 100
