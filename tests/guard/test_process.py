# SPDX-License-Identifier: MIT
"""The guard as a process of its own, before a world file."""

from __future__ import annotations

import gc
import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any, Iterator

import pytest

from xenvcpu.context.presets import flat32
from xenvcpu.errors import GuardError
from xenvcpu.host import Host, open_host
from xenvcpu.model import worldfile


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    worldfile.new(str(tmp_path / "world.json"))
    with open_host(f"model:{tmp_path / 'world.json'}") as opened:
        yield opened


def start(host: Host) -> Any:
    return host.domain("web").start([1], lambda vcpuid: flat32(0x100000))  # type: ignore[union-attr]


def guard_of(parent: int) -> int:
    """The pid of the guard that a process has started last; those of earlier tests may take a while to end."""
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in found if Path(f"/proc/{pid}/comm").read_text() == "xenvcpu-guard\n"][-1]


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def has_ended(pid: int) -> bool:
    """Whether it ends by itself; one that is slow to is a zombie until it is waited for."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def test_a_guard_serves_until_the_host_is_closed(host: Host) -> None:
    start(host)
    pid = guard_of(os.getpid())
    host.close()
    assert has_ended(pid)


def test_a_guard_that_takes_its_time_to_end_is_left_to_it_without_a_word(host: Host) -> None:
    start(host)
    pid = guard_of(os.getpid())
    os.kill(pid, signal.SIGSTOP)
    gc.collect()  # what others have left is theirs
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            host.close()
            gc.collect()
        assert [str(each.message) for each in said if str(pid) in str(each.message)] == [] and is_alive(pid)
    finally:
        os.kill(pid, signal.SIGCONT)
    os.waitpid(pid, 0)


def test_a_guard_is_deaf_to_the_signals_of_a_terminal(host: Host) -> None:
    start(host)
    pid = guard_of(os.getpid())
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        os.kill(pid, number)
    host.domain("web").stop([1])
    assert guard_of(os.getpid()) == pid and os.getsid(pid) == pid


def test_a_guard_that_is_killed_between_two_changes_is_replaced(host: Host) -> None:
    start(host)
    pid = guard_of(os.getpid())
    os.kill(pid, signal.SIGKILL)
    host.domain("web").stop([1])
    assert guard_of(os.getpid()) != pid and not host.dom0.domain(1).is_paused


def test_a_fork_of_the_program_does_not_keep_its_guard_alive(host: Host) -> None:
    start(host)
    pid = guard_of(os.getpid())
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    try:
        host.keeper.close()
        assert has_ended(pid)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_without_a_process_nothing_is_touched(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(GuardError, match="cannot be started: No such file"):
        start(host)
    assert host.domain("web").down_vcpus() == (1, 2, 3)


def test_a_guard_has_no_file_of_the_program(host: Host, tmp_path: Path) -> None:
    with open(tmp_path / "secret", "w") as file:
        os.set_inheritable(file.fileno(), True)
        start(host)
        opened = {os.readlink(each) for each in Path(f"/proc/{guard_of(os.getpid())}/fd").iterdir()}
    assert not any("secret" in path for path in opened)


def test_an_interpreter_that_is_embedded_is_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/usr/sbin/httpd")
    try:
        assert start(host).vcpuids == (1,)
    except GuardError:
        pytest.skip("no bin/pythonX.Y beside this interpreter's library")
