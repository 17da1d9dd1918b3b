# SPDX-License-Identifier: MIT
"""Puts the checkout last on the path: an installed xenvcpu is what is tested; `cbind` and `integration` are found."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
# How fast an example is depends on who else uses the machine, and is measured by `make bench`.
settings.register_profile("xenvcpu", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("xenvcpu")
# A shell lets what it starts in the background ignore Ctrl-C, and all that is started from there inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def facts() -> dict[str, Any]:
    """What each release's own headers and sources say."""
    from tests import xenfacts

    return xenfacts.facts()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket that takes datagrams, as the system's log and systemd have one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "listener"))
        made.settimeout(60)
        yield made
