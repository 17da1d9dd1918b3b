# SPDX-License-Identifier: MIT
"""Fixtures of the toolstacks' suites."""

from __future__ import annotations

import itertools
import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Callable, Iterator, List

import pytest

from integration.evidence import host, virt
from integration.evidence.command import xenvcpu
from integration.evidence.virt import Daemon, VirtGuest
from integration.toolstacks import announcing
from xenvcpu.systemlog import SOCKET

VCPUS = 4
HOOK = Path("/etc/libvirt/hooks/libxl.d/xenvcpu")
_numbers = itertools.count(1)


@pytest.fixture
def number() -> int:
    """A number that no other start has: what stands in memory from before is never taken for it."""
    return random.randrange(1 << 16, 1 << 24) << 4


@pytest.fixture
def context(tmp_path: Path, number: int) -> Path:
    """A context file with which each vcpu announces itself."""
    path = tmp_path / "announcing.toml"
    path.write_text(announcing.context(number))
    return path


@pytest.fixture(scope="session")
def libvirtd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """libvirt's daemon, which was started when our hook was there: it looks for hooks only then."""
    reason = host.why_not_dom0() or virt.why_not()
    if reason:
        pytest.skip(reason)
    installed = xenvcpu("libvirt", "install-hook")
    assert installed.returncode == 0, installed.stderr
    daemon = Daemon(tmp_path_factory.mktemp("libvirt") / "libvirtd.log")
    try:
        yield daemon
    finally:
        daemon.stop()
        removed = xenvcpu("libvirt", "remove-hook")
        assert removed.returncode == 0 and not HOOK.exists(), removed.stderr


@pytest.fixture
def no_hook(libvirtd: Daemon) -> Iterator[None]:
    """As if the hook were not installed."""
    text = HOOK.read_bytes()
    HOOK.unlink()
    yield
    HOOK.write_bytes(text)
    HOOK.chmod(0o755)


@pytest.fixture
def strict_hook(libvirtd: Daemon) -> Iterator[None]:
    """The hook as `--strict` installs it."""
    text = HOOK.read_bytes()
    installed = xenvcpu("libvirt", "install-hook", "--strict")
    assert installed.returncode == 0, installed.stderr
    yield
    HOOK.write_bytes(text)


@pytest.fixture
def virt_guest(libvirtd: Daemon, tiny_image: Path) -> Iterator[Callable[[], VirtGuest]]:
    """Gives a function that defines a guest; it is gone after the test."""
    with ExitStack() as stack:

        def define() -> VirtGuest:
            guest = VirtGuest(libvirtd, tiny_image, f"virt-{next(_numbers)}", VCPUS)
            stack.callback(guest.remove)
            return guest

        yield define


@pytest.fixture
def system_log() -> Iterator[Callable[[], List[str]]]:
    """Gives a function that returns what came to the system's log, which nobody else may be reading."""
    path = Path(SOCKET)
    if path.exists():
        pytest.skip(f"{SOCKET} belongs to a syslog daemon")
    lines: List[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(SOCKET)
        listening.setblocking(False)

        def read() -> List[str]:
            with suppress(BlockingIOError):
                while True:
                    lines.append(listening.recv(1 << 16).decode())
            return lines

        try:
            yield read
        finally:
            path.unlink()
