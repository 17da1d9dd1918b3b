# SPDX-License-Identifier: MIT
"""Two starts of one domain do not overlap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from xenvcpu.errors import DomainBusyError
from xenvcpu.lock import domain_lock

HANDLE = UUID(int=5)
HOLD = """
import sys, time
from pathlib import Path
from uuid import UUID
from xenvcpu.lock import domain_lock
with domain_lock(UUID(int=5), Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_waits_and_then_says_who_is_busy(tmp_path: Path) -> None:
    with domain_lock(HANDLE, tmp_path):
        with pytest.raises(DomainBusyError, match=str(HANDLE)), domain_lock(HANDLE, tmp_path, patience=0.05):
            pytest.fail("held twice")


def test_another_domain_is_free(tmp_path: Path) -> None:
    with domain_lock(HANDLE, tmp_path), domain_lock(UUID(int=6), tmp_path, patience=0):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_process_that_is_killed_gives_the_lock_back(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with domain_lock(HANDLE, tmp_path, patience=5):
        assert next(tmp_path.iterdir()).stat().st_mode & 0o777 == 0o600
