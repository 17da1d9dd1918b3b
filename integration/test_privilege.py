# SPDX-License-Identifier: MIT
"""What an administrator relies on: devices stay with the process, and each change leaves a line in the log."""

from __future__ import annotations

import os
import re
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Callable, Iterator

import pytest

from integration.drivers import parked
from integration.evidence import processes
from integration.evidence.control import Control
from integration.evidence.tiny import TinyGuest
from integration.limits import run
from xenvcpu.allowances import EVERY_RULE
from xenvcpu.api import Dom0Domain, open_host
from xenvcpu.systemlog import SOCKET

DEVICES = ("/dev/xen/", "/proc/xen/")
Factory = Callable[..., TinyGuest]
_LINE = re.compile(
    r"<86>xenvcpu\[(?P<pid>\d+)\]: (?P<verb>\w+) domid=(?P<domid>\d+) uuid=(?P<uuid>[0-9a-f-]{36})"
    r" vcpus=(?P<vcpus>[\d,]+) outcome=(?P<outcome>\w+)( context=sha256:[0-9a-f]{64})? user=0"
)


@pytest.fixture
def log() -> Iterator[socket.socket]:
    """The system's log, which nobody else may be reading."""
    path = Path(SOCKET)
    if path.exists():
        pytest.skip(f"{SOCKET} belongs to a syslog daemon")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(SOCKET)
        listening.settimeout(60)
        try:
            yield listening
        finally:
            path.unlink()


def devices() -> list[int]:
    """Our descriptors of Xen's devices."""
    ours = processes.open_descriptors()
    return [number for number, path in ours.items() if path.startswith(DEVICES)]


def test_no_device_gets_into_another_program(tiny_guest: Factory) -> None:
    """Every descriptor that a host opens, its guard's channel among them, closes when another program is started."""
    guest = tiny_guest(vcpus=2)
    own = set(processes.open_descriptors())
    with closing(Control()):
        of_one_handle = len(set(devices()) - own)
    with open_host("dom0") as host:
        domain = host.domain(guest.name)
        domain.start([1], parked)
        opened = [number for number in processes.open_descriptors() if number not in own]
        assert set(devices()) & set(opened)
        assert [number for number in opened if not processes.closes_on_exec(number)] == []
        code = "import glob, os; print(*(os.readlink(p) for p in glob.glob('/proc/self/fd/*') if os.path.exists(p)))"
        with socket.socket() as inheritable:  # what it looks like when one does
            inheritable.set_inheritable(True)
            argv = [sys.executable, "-c", code]
            seen = run(argv, 60, close_fds=False)
        assert "socket:" in seen.stdout and "/xen/" not in seen.stdout, seen
        (guard,) = processes.guards(os.getpid())
        held = [os.readlink(path) for path in Path(f"/proc/{guard}/fd").iterdir()]
        assert len([path for path in held if path.startswith(DEVICES)]) == of_one_handle
    assert [number for number in devices() if number not in own] == []


def test_each_change_leaves_one_line_in_the_log(tiny_guest: Factory, log: socket.socket) -> None:
    """Who, what, which domain and vcpus, the contexts' hash and the outcome; a look leaves none."""
    guest = tiny_guest(vcpus=3)
    with open_host("dom0") as host:
        domain = host.domain(guest.name)
        assert isinstance(domain, Dom0Domain)
        domain.start([1, 2], parked)
        domain.vcpus()
        domain.record(1)
        domain.stop([2])
    lines = [log.recv(4096).decode() for _ in range(2)]
    log.setblocking(False)
    with pytest.raises(BlockingIOError):
        log.recv(4096)
    for line, verb, vcpus in zip(lines, ("start", "stop"), ("1,2", "2")):
        match = _LINE.fullmatch(line)
        assert match, line
        assert match["pid"] == str(os.getpid())
        assert (match["verb"], match["domid"], match["uuid"]) == (verb, str(guest.domid), domain.uuid)
        assert (match["vcpus"], match["outcome"]) == (vcpus, "done")
    assert "context=sha256:" in lines[0]


def test_a_change_that_xen_refuses_is_logged_as_put_back(tiny_guest: Factory, log: socket.socket) -> None:
    """The line tells that it failed, what was put back, and why."""
    guest = tiny_guest(vcpus=2)
    with open_host("dom0") as host, pytest.raises(OSError):
        host.domain(guest.name).start([1], lambda vcpuid: parked(vcpuid).replace(cr4=1 << 15), allow=EVERY_RULE)
    line = log.recv(4096).decode()
    assert "outcome=failed" in line and "restored=yes" in line and "EINVAL" in line
    assert len(line.splitlines()) == 1
