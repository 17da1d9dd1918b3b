# SPDX-License-Identifier: MIT
"""Stages made up for a test, whose commands are lines of sh."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lanes import closing, result, run, stage


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logs and reports of the made-up stages go."""
    for module in (run, closing):
        monkeypatch.setattr(module, "log_of", lambda one: tmp_path / f"{one.name}.log")
    monkeypatch.setattr(run, "report_of", lambda one: tmp_path / f"{one.name}.xml")
    monkeypatch.setattr(closing, "ROOT", tmp_path)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.delenv("XENVCPU_REQUIRE_LAB", raising=False)
    return tmp_path


LAB = stage.Stage("lab", "a real Xen", ("test",), emulates=True)
UNIT = stage.Stage("unit", "the fast tests", ("check", "test"))


def came(one: stage.Stage, **counts: object) -> result.Result:
    """What a stage came to."""
    return result.Result(one, 1.0, **counts)  # type: ignore[arg-type]
