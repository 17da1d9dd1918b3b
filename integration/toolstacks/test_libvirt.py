# SPDX-License-Identifier: MIT
"""Domains of libvirt's driver for Xen whose XML declares how their vcpus start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Callable, Iterator, List

import pytest

from integration.evidence import processes, virt, xl
from integration.evidence.command import xenvcpu, xenvcpu_json
from integration.evidence.stubs import await_true
from integration.evidence.virt import URI, VirtGuest, virsh
from integration.limits import Limit
from integration.toolstacks import announcing
from integration.toolstacks.conftest import VCPUS

Factory = Callable[[], VirtGuest]
Lines = Callable[[], List[str]]
ALL = list(range(VCPUS))
SECONDARY = ALL[1:]
NAMESPACE = "urn:xenvcpu:declaration:1"
BROKEN = '<declaration vcpus="1-3"><context>preset = "flat32"\nepi = 1</context></declaration>'


def declare(guest: VirtGuest, file: Path, *options: str) -> None:
    done = xenvcpu("libvirt", "set", guest.name, file, "--connect", URI, *options)
    assert done.returncode == 0, done.stderr


def virsh_start(guest: VirtGuest) -> None:
    done = virsh("start", guest.name)
    assert done.returncode == 0, done.stderr


def assert_announced(guest: VirtGuest, number: int) -> None:
    seen = guest.seen()
    seen.await_announced(announcing.expected(number, VCPUS), 90)
    assert xl.online(seen.domid) == ALL
    seen.await_beats()


def test_a_declaration_stands_in_the_domain_until_it_is_removed(
    virt_guest: Factory, context: Path, tmp_path: Path
) -> None:
    """What `get` prints is what `set` was given, libvirt has it in the XML, and `set` with it again changes nothing."""
    guest = virt_guest()
    changed = xenvcpu_json("libvirt", "set", guest.name, context, "--vcpus", "1,3", "--connect", URI)["changed"]
    assert changed == ["config"]
    got = xenvcpu("libvirt", "get", guest.uuid, "--connect", URI)
    assert got.returncode == 0, got.stderr
    assert 'vcpus="1,3"' in virsh("metadata", guest.name, NAMESPACE).stdout
    again = tmp_path / "again.json"
    again.write_text(got.stdout)
    declared = xenvcpu_json("libvirt", "set", guest.uuid, again, "--connect", URI)
    assert (declared["name"], declared["changed"]) == (guest.name, [])
    removed = xenvcpu("libvirt", "remove", guest.name, "--connect", URI)
    assert removed.returncode == 0 and "xenvcpu" not in guest.raw.XMLDesc(), removed.stderr
    assert xenvcpu("libvirt", "get", guest.name, "--connect", URI).returncode == 1


def test_a_file_that_is_wrong_is_refused_with_the_field_named(virt_guest: Factory, tmp_path: Path) -> None:
    """And the domain declares what it did before: nothing."""
    guest = virt_guest()
    file = tmp_path / "wrong.toml"
    file.write_text('preset = "flat32"\nepi = 0x100000\n')
    done = xenvcpu("libvirt", "set", guest.name, file, "--connect", URI)
    assert done.returncode == 1 and "epi" in done.stderr, done
    assert "xenvcpu" not in guest.raw.XMLDesc()


def test_virsh_start_brings_the_declared_vcpus_by_the_hook(
    virt_guest: Factory, context: Path, number: int, system_log: Lines
) -> None:
    """They run the code that was declared, and so they do when the guest has rebooted; each start is logged."""
    guest = virt_guest()
    declare(guest, context)
    virsh_start(guest)
    assert_announced(guest, number)
    guest.reboot()
    assert_announced(guest, number)

    def of_the_hook() -> List[str]:
        return [line for line in system_log() if "xenvcpu-hook" in line]

    # Nobody waits for the hook of a reboot: it says what it did when the vcpus run already.
    await_true(lambda: len(of_the_hook()) >= 2, f"the hook did not say it twice: {system_log()}", 120)
    said = f"domain {guest.name} ({guest.uuid}): started vcpus 1-3, paused for "
    assert [said in line for line in of_the_hook()] == [True, True]


def test_a_domain_that_declares_nothing_is_none_of_the_hooks_business(
    virt_guest: Factory, system_log: Lines
) -> None:
    """It starts as it would without us, and nothing is logged."""
    guest = virt_guest()
    virsh_start(guest)
    seen = guest.seen()
    assert xl.online(seen.domid) == [0] and seen.up_at_first() == []
    assert system_log() == []


def test_a_broken_declaration_lets_the_domain_start_and_the_log_says_why(
    virt_guest: Factory, system_log: Lines
) -> None:
    """The hook fails open: the domain runs with its boot vcpu alone."""
    guest = virt_guest()
    guest.declare(BROKEN)
    virsh_start(guest)
    seen = guest.seen()
    assert xl.online(seen.domid) == [0]
    seen.await_beats()
    (said,) = system_log()
    assert guest.name in said and "epi" in said and "it runs without its declared vcpus" in said


def test_with_strict_a_broken_declaration_ends_the_domain(
    virt_guest: Factory, strict_hook: None, context: Path, number: int, system_log: Lines
) -> None:
    """`virsh start` fails and says why, nothing is left of the domain; a declaration that is right still works."""
    guest = virt_guest()
    guest.declare(BROKEN)
    done = virsh("start", guest.name)
    assert done.returncode != 0 and "epi" in done.stderr, done
    assert not guest.is_active() and guest.name not in xl.run("list")
    assert "libvirt ends the domain (--strict)" in system_log()[-1]
    declare(guest, context)
    virsh_start(guest)
    assert_announced(guest, number)


class Watch:
    """`xenvcpu libvirt watch` as systemd runs it."""

    def __init__(self, folder: Path) -> None:
        address = folder / "notify"
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._channel.bind(str(address))
        self._channel.settimeout(1)
        self.log = folder / "watch.log"
        with self.log.open("wb") as file:
            argv = ["xenvcpu", "libvirt", "watch", "--connect", URI]
            environment = {**os.environ, "NOTIFY_SOCKET": str(address)}
            self._process = subprocess.Popen(argv, stdout=file, stderr=file, env=environment)

    def told(self) -> str:
        """What it tells systemd next."""
        limit = Limit(120)
        while True:
            try:
                return self._channel.recv(4096).decode()
            except socket.timeout:
                if limit.passed:
                    raise

    def await_said(self, text: str, times: int = 1) -> None:
        await_true(
            lambda: self.log.read_text().count(text) >= times, f"it did not say {text!r}: {self.log.read_text()}", 120
        )

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._channel.close()

    def stopped(self) -> int:
        """Stop it, and return how it ended."""
        self._process.send_signal(signal.SIGTERM)
        assert processes.await_end([self._process.pid], 60)
        return self._process.wait()


@pytest.fixture
def watch(no_hook: None, tmp_path: Path) -> Iterator[Watch]:
    with closing(Watch(tmp_path)) as watching:
        yield watching


def test_the_watcher_starts_the_declared_vcpus_of_what_starts_later(
    virt_guest: Factory, watch: Watch, context: Path, number: int
) -> None:
    """Also when the domain has rebooted; it tells systemd when it is ready, and ends when it is told to."""
    assert watch.told().startswith("READY=1")
    guest = virt_guest()
    declare(guest, context)
    virsh_start(guest)
    assert_announced(guest, number)
    watch.await_said(f"domain {guest.name} ({guest.uuid}): started vcpus 1-3")
    guest.reboot()
    assert_announced(guest, number)
    assert watch.stopped() == 0, watch.log.read_text()
    assert watch.told() == "STOPPING=1"


def test_the_watcher_says_what_is_wrong_and_goes_on(
    virt_guest: Factory, watch: Watch, context: Path, number: int
) -> None:
    """A domain whose declaration is broken runs with its boot vcpu; the next one gets its vcpus."""
    assert watch.told().startswith("READY=1")
    broken = virt_guest()
    broken.declare(BROKEN)
    virsh_start(broken)
    watch.await_said("epi")
    assert xl.online(broken.seen().domid) == [0]
    guest = virt_guest()
    declare(guest, context)
    virsh_start(guest)
    assert_announced(guest, number)


def test_nothing_of_a_domain_runs_before_its_vcpus_are_in_place(
    virt_guest: Factory, no_hook: None, context: Path, number: int
) -> None:
    """`xenvcpu libvirt start`: the first that the boot vcpu sees is that all the others are up."""
    guest = virt_guest()
    declare(guest, context)
    started = xenvcpu_json("libvirt", "start", guest.uuid, "--connect", URI)
    assert started["started"] == SECONDARY
    assert_announced(guest, number)
    seen = guest.seen()
    assert seen.up_at_first() == SECONDARY
    assert virt.virsh("domstate", guest.name).stdout.strip() == "running"
    again = xenvcpu("libvirt", "start", guest.name, "--connect", URI)
    assert again.returncode == 1 and "runs already" in again.stderr
    seen.await_beats()


def test_the_hook_leaves_a_domain_alone_that_was_started_with_its_vcpus(
    virt_guest: Factory, context: Path, number: int, system_log: Lines
) -> None:
    """`xenvcpu libvirt start` with the hook installed: the hook comes first, while the domain is paused."""
    guest = virt_guest()
    declare(guest, context)
    started = xenvcpu("libvirt", "start", guest.name, "--connect", URI)
    assert started.returncode == 0, started.stderr
    assert_announced(guest, number)
    assert guest.seen().up_at_first() == SECONDARY
    assert sum("xenvcpu-hook" in line for line in system_log()) == 1


def test_a_domain_whose_vcpus_are_refused_does_not_run(
    virt_guest: Factory, no_hook: None, context: Path
) -> None:
    """`xenvcpu libvirt start` with a context that no Xen takes: exit code 3, and the domain is shut off."""
    guest = virt_guest()
    context.write_text(context.read_text() + "cr4 = 0x8000\n")
    told = xenvcpu("libvirt", "set", guest.name, context, "--connect", URI)
    assert told.returncode == 3 and "cr4" in told.stderr and "xenvcpu" not in guest.raw.XMLDesc(), told
    declare(guest, context, "--ignore-rules", "cr4-bit")
    done = xenvcpu("libvirt", "start", guest.name, "--connect", URI)
    assert done.returncode == 3 and "cr4" in done.stderr, done
    assert not guest.is_active() and guest.name not in xl.run("list")


def test_domains_are_also_known_by_number_and_libvirts_own_uri(
    virt_guest: Factory, no_hook: None, context: Path, number: int
) -> None:
    """A running domain's live declaration, and `xenvcpu start` on a domain of libvirt by its UUID."""
    guest = virt_guest()
    virsh_start(guest)
    domid = guest.seen().domid
    changed = xenvcpu_json("libvirt", "set", domid, context)["changed"]
    assert sorted(changed) == ["config", "live"]
    assert xl.online(domid) == [0]  # nothing is started by that
    done = xenvcpu("start", guest.uuid, "all", context)
    assert done.returncode == 0, done.stderr
    assert_announced(guest, number)
