# SPDX-License-Identifier: MIT
"""The reference facts about Xen's checks, release by release."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_DEFAULT = Path(__file__).parents[2] / ".." / "shared" / "facts" / "xen-abi.json"


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """`xen-abi.json`; XENVCPU_FACTS names another place for it."""
    path = Path(os.environ.get("XENVCPU_FACTS", _DEFAULT))
    if not path.is_file():
        pytest.skip("xen-abi.json is not here (XENVCPU_FACTS names it)")
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded
