# SPDX-License-Identifier: MIT
"""Two starts of one domain do not overlap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ContextManager, List
from uuid import UUID

import pytest

from xenvcpu.deadline import Patience
from xenvcpu.errors import DomainBusyError
from xenvcpu.lock import domain_lock

HANDLE = UUID(int=5)
HOLD = """
import sys, time
from pathlib import Path
from uuid import UUID
from xenvcpu.deadline import Patience
from xenvcpu.lock import domain_lock
with domain_lock(UUID(int=5), Path(sys.argv[1]), Patience(), Patience().begin()):
    print("held", flush=True)
    time.sleep(600)
"""
FORK = """
import os, signal, sys
from pathlib import Path
from uuid import UUID
from xenvcpu.deadline import Patience
from xenvcpu.lock import domain_lock
def hold():
    return domain_lock(UUID(int=5), Path(sys.argv[1]), Patience(waits=False), Patience().begin())
read, write = os.pipe()
with hold():
    child = os.fork()
    if not child:
        os.write(write, b".")
        signal.pause()
    os.read(read, 1)
try:
    with hold():
        print("held again")
finally:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


SHORT = Patience(timeout=60)


def hold(folder: Path, handle: UUID = HANDLE, patience: Patience = SHORT) -> ContextManager[int]:
    return domain_lock(handle, folder, patience, patience.begin())


def test_the_second_waits_and_then_says_who_is_busy(tmp_path: Path) -> None:
    told: List[str] = []
    busy = f"process {os.getpid()} drives domain {HANDLE}, still after 0.05 s; nothing was touched"
    with hold(tmp_path):
        with pytest.raises(DomainBusyError, match=busy), hold(tmp_path, patience=Patience(0.05, tell=told.append)):
            pytest.fail("held twice")
    assert told == [f"waiting for process {os.getpid()}, which drives domain {HANDLE}, 0.05 s at most; Ctrl-C gives up"]


def test_who_does_not_wait_is_told_at_once_who_is_busy(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(DomainBusyError, match="--no-wait"):
        with hold(tmp_path, patience=Patience(waits=False)):
            pytest.fail("held twice")


def test_another_domain_is_free(tmp_path: Path) -> None:
    with hold(tmp_path), hold(tmp_path, UUID(int=6), Patience(waits=False)):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_copy_of_the_descriptor_holds_the_lock(tmp_path: Path) -> None:
    with hold(tmp_path) as descriptor:
        copy = os.dup(descriptor)
    with pytest.raises(DomainBusyError), hold(tmp_path, patience=Patience(waits=False)):
        pytest.fail("the guard holds it still")
    os.close(copy)
    with hold(tmp_path, patience=Patience(waits=False)):
        pass


def test_a_process_that_is_killed_gives_the_lock_back(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with hold(tmp_path):
        assert next(tmp_path.iterdir()).stat().st_mode & 0o777 == 0o600


def test_a_fork_of_the_program_does_not_keep_the_lock(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", FORK, tmp_path], stdout=subprocess.PIPE, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "held again\n")
