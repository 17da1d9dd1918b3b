# SPDX-License-Identifier: MIT
"""The watcher: what it does at libvirt's events, and how it lives as a service."""

from __future__ import annotations

import io
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Iterator, List, Optional

import pytest

pytest.importorskip("libvirt")

from tests.toolstacks.conftest import Run, environment
from tests.toolstacks.virt import CONTEXT, URI, connected, domain_xml, element, handle, of_xen, online
from xenvcpu.errors import ContextError, DomainError, HostError
from xenvcpu.guard import folders
from xenvcpu.toolstacks.applying import Change
from xenvcpu.toolstacks.declaration import Declaration
from xenvcpu.toolstacks.libvirt import attempts, connection, install
from xenvcpu.toolstacks.libvirt.attempts import TRIES, Attempts
from xenvcpu.toolstacks.libvirt.log import Log
from xenvcpu.toolstacks.libvirt.notify import notify
from xenvcpu.toolstacks.libvirt.watch import Watcher

WEB = uuid.UUID(int=0x5678)
OTHER = uuid.UUID(int=8)
DONE = Change(5, "web", (1, 2), (), (1, 2))
LIMIT = 60.0
"""For what takes a moment, on a machine that has much else to do."""


class Stage:
    """A watcher in a thread, and what it was made to do.

    Attributes:
        ahead: By how many seconds the watcher's clock is ahead of the machine's.
    """

    def __init__(self, with_running: bool = False) -> None:
        self.begun: "queue.Queue[tuple[uuid.UUID, Declaration]]" = queue.Queue()
        self.failures: List[Exception] = []
        self.told: "queue.Queue[str]" = queue.Queue()
        self.said = io.StringIO()
        self.ahead = 0.0
        self.watcher = Watcher(
            URI, self.begin, Log("watch", stream=self.said), with_running=with_running,
            tell=lambda *states: self.told.put(states[0]), clock=lambda: time.monotonic() + self.ahead,
        )
        self.thread = threading.Thread(target=self.watcher.run)

    def begin(self, handle: uuid.UUID, declared: Declaration) -> Optional[Change]:
        self.begun.put((handle, declared))
        if self.failures:
            raise self.failures.pop(0)
        return DONE

    def start(self) -> None:
        self.thread.start()
        assert self.told.get(timeout=LIMIT) == "READY=1"

    def stop(self) -> None:
        self.watcher.stop()
        self.thread.join(LIMIT)
        assert not self.thread.is_alive()
        self.watcher.close()

    def wait_for(self, text: str) -> None:
        """Until the log has it."""
        end = time.monotonic() + LIMIT
        while text not in self.said.getvalue():
            assert time.monotonic() < end, self.said.getvalue()
            time.sleep(0.01)


@pytest.fixture
def web() -> Iterator[Any]:
    with connected() as raw:
        domain = raw.defineXML(domain_xml(WEB, element(attributes='vcpus="1-2"')))
        yield domain
        if domain.isActive():
            domain.destroy()
        domain.undefine()


@pytest.fixture
def stage(web: Any) -> Iterator[Stage]:
    made = Stage()
    made.start()
    yield made
    made.stop()


def test_a_domain_that_boots_gets_its_declared_vcpus(stage: Stage, web: Any) -> None:
    web.create()
    assert stage.begun.get(timeout=LIMIT) == (WEB, Declaration(CONTEXT, "1-2"))
    stage.wait_for(f"domain web ({WEB}): started vcpus 1-2")


def test_every_boot_counts(stage: Stage, web: Any) -> None:
    for _ in range(3):
        web.create()
        assert stage.begun.get(timeout=LIMIT)[0] == WEB
        web.destroy()


def test_a_failure_is_tried_again(stage: Stage, web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST", 0.02)
    stage.failures += [DomainError("busy"), HostError("gone")]
    web.create()
    stage.wait_for("started vcpus 1-2")
    said = stage.said.getvalue()
    assert "busy; again in 0.02 s" in said and "gone; again in 0.04 s" in said
    assert stage.begun.qsize() == 3


def test_a_wrong_context_is_not_tried_again(stage: Stage, web: Any) -> None:
    stage.failures.append(ContextError("never"))
    web.create()
    stage.wait_for("never")
    assert "again" not in stage.said.getvalue()


def test_a_domain_that_is_gone_is_not_tried_again(stage: Stage, web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "FIRST", attempts.LONGEST)
    stage.failures.append(DomainError("busy"))
    web.create()
    stage.wait_for("busy; again")
    assert stage.begun.get(timeout=LIMIT)[0] == WEB
    web.destroy()
    stage.ahead = 2 * attempts.LONGEST
    other = web.connect().createXML(domain_xml(OTHER, element(), name="other"))
    assert stage.begun.get(timeout=LIMIT)[0] == OTHER  # whoever was due before has had its turn
    stage.wait_for("domain other")
    other.destroy()
    assert stage.begun.empty()


def test_a_reboot_counts_whose_end_is_told_after_its_new_beginning(web: Any) -> None:
    """That is the order in which libvirt's driver for Xen tells of them."""
    web.create()
    stage, module = Stage(), connection.library()
    stage.watcher._on_event(
        None, web, module.VIR_DOMAIN_EVENT_STARTED, module.VIR_DOMAIN_EVENT_STARTED_BOOTED, None
    )
    stage.watcher._on_event(
        None, web, module.VIR_DOMAIN_EVENT_STOPPED, module.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, None
    )
    stage.start()
    try:
        assert stage.begun.get(timeout=LIMIT)[0] == WEB
    finally:
        stage.stop()


def test_a_reboot_that_was_served_before_its_end_is_told_is_served_once(stage: Stage, web: Any) -> None:
    module = connection.library()
    web.create()
    assert stage.begun.get(timeout=LIMIT)[0] == WEB
    stage.wait_for("started vcpus 1-2")
    stage.watcher._on_event(
        None, web, module.VIR_DOMAIN_EVENT_STOPPED, module.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, None
    )
    other = web.connect().createXML(domain_xml(OTHER, element(), name="other"))
    assert stage.begun.get(timeout=LIMIT)[0] == OTHER  # who was to be looked at before has had its turn
    other.destroy()
    assert stage.begun.empty()


def test_a_domain_that_declares_nothing_is_passed(stage: Stage, web: Any) -> None:
    other = web.connect().createXML(domain_xml(OTHER, name="other"))
    web.create()
    assert stage.begun.get(timeout=LIMIT)[0] == WEB
    other.destroy()
    assert stage.begun.empty() and "other" not in stage.said.getvalue()


def test_a_spoilt_declaration_is_told_and_others_go_on(stage: Stage, web: Any) -> None:
    other = web.connect().createXML(domain_xml(OTHER, element("<x:no/>"), name="other"))
    stage.wait_for("other")
    web.create()
    assert stage.begun.get(timeout=LIMIT)[0] == WEB
    other.destroy()


def test_a_guest_that_begins_with_hvmloader_is_refused_once(
    stage: Stage, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_xen(monkeypatch)
    web.create()
    stage.wait_for("begins with hvmloader")
    assert stage.begun.empty() and "again" not in stage.said.getvalue()


@pytest.mark.parametrize("with_running", [False, True])
def test_a_domain_that_ran_before_is_looked_at_only_if_asked_for(web: Any, with_running: bool) -> None:
    web.create()
    stage = Stage(with_running)
    stage.start()
    later = web.connect().createXML(domain_xml(OTHER, element(), name="later"))
    expected = [WEB] * with_running + [OTHER]
    found = [stage.begun.get(timeout=LIMIT)[0] for _ in expected]
    later.destroy()
    stage.stop()
    assert (found, stage.begun.qsize()) == (expected, 0)


def test_after_a_lost_connection_only_what_booted_meanwhile_is_looked_at(web: Any) -> None:
    web.create()
    stage = Stage(with_running=True)
    stage.start()
    stage.wait_for("started vcpus 1-2")
    later = web.connect().createXML(domain_xml(uuid.UUID(int=8), element(), name="later"))
    stage.wait_for("domain later")
    stage.watcher._on_close(None, 0, None)
    stage.watcher._wake.send(b"x")
    assert stage.told.get(timeout=LIMIT) == "READY=1"
    last = web.connect().createXML(domain_xml(uuid.UUID(int=9), element(), name="last"))
    found = [stage.begun.get(timeout=LIMIT)[0] for _ in range(3)]
    later.destroy()
    last.destroy()
    stage.stop()
    assert (found, stage.begun.qsize()) == ([WEB, uuid.UUID(int=8), uuid.UUID(int=9)], 0)


def test_it_says_when_it_is_ready_and_when_it_ends(web: Any) -> None:
    stage = Stage()
    stage.start()
    stage.stop()
    assert stage.told.get_nowait() == "STOPPING=1"


def test_a_libvirt_that_does_not_answer_is_asked_again_until_stopped() -> None:
    said = io.StringIO()
    watcher = Watcher("xen+unix:///?socket=/nowhere", lambda *_: None, Log("watch", stream=said))
    thread = threading.Thread(target=watcher.run)
    thread.start()
    while "again in 1 s" not in said.getvalue():
        assert thread.is_alive()
        time.sleep(0.01)
    watcher.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()
    watcher.close()


# Attempts.

def test_the_delay_doubles_up_to_its_limit_and_then_it_is_given_up() -> None:
    waiting = Attempts()
    waiting.add(WEB, 0.0)
    assert waiting.due(0.0) == [WEB] and waiting.next == 0.0
    delays = [waiting.put_off(WEB, 100.0) for _ in range(TRIES)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60, None]
    assert waiting.next is None and waiting.due(1e9) == []


def test_a_new_boot_begins_anew() -> None:
    waiting = Attempts()
    waiting.add(WEB, 0.0)
    waiting.put_off(WEB, 0.0)
    waiting.put_off(WEB, 0.0)
    assert waiting.due(1.9) == [] and waiting.next == 2.0
    waiting.add(WEB, 1.0)
    assert waiting.due(1.0) == [WEB] and waiting.put_off(WEB, 1.0) == 1.0


def test_any_number_of_failures_has_a_delay() -> None:
    assert attempts.delay_after(10**6) == attempts.LONGEST


# As a service.

def test_a_domain_that_booted_before_the_service_did_is_served(world: str, tmp_path: Path) -> None:
    config = tmp_path / "node.xml"
    config.write_text(f"<node>{domain_xml(handle(world), element())}</node>")
    process = subprocess.Popen(
        [sys.executable, "-m", "xenvcpu", "--host", world, "libvirt", "watch", "--connect", f"test://{config}"],
        env=environment(), stderr=subprocess.PIPE, text=True,
    )
    assert process.stderr is not None
    limit = threading.Timer(LIMIT, process.kill)
    limit.start()
    try:
        for line in process.stderr:
            if "domain web" in line:
                break
    finally:
        limit.cancel()
        process.terminate()
        process.communicate(timeout=LIMIT)
    assert "started vcpus 1-3" in line and online(world) == [0, 1, 2, 3]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_cleanly(listener: socket.socket, world: str, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "xenvcpu", "--host", world, "libvirt", "watch", "--connect", URI],
        env=environment({"NOTIFY_SOCKET": listener.getsockname(), "JOURNAL_STREAM": "1:1"}), stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert listener.recv(4096).decode() == f"READY=1\nSTATUS=Listening to {URI}"
        process.send_signal(number)
        assert listener.recv(4096) == b"STOPPING=1"
        _, said = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, said) == (0, f"<6>listening to {URI}\n")


def test_a_socket_without_a_file_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"xenvcpu-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(f"\0{name}")
        made.settimeout(LIMIT)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify("READY=1", "STATUS=here")
        assert made.recv(100) == b"READY=1\nSTATUS=here"


@pytest.mark.parametrize("address", ["", "/nowhere", "relative", "@"])
def test_without_systemd_nothing_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def test_from_another_machine_nothing_is_watched(run: Run) -> None:
    done = run("libvirt", "watch", "--connect", "xen+ssh://nobody@192.0.2.1/system")
    assert done.code == 5 and "another machine" in done.err


def test_a_service_for_a_model_has_its_host(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("model", "new", "world.json")
    assert run("--host", "model:world.json", "libvirt", "install-service", "--folder", tmp_path).code == 0
    assert f" --host model:{tmp_path}/world.json libvirt watch " in (tmp_path / install.UNIT).read_text()


@pytest.mark.parametrize("command", [("libvirt", "install-service"), ("libvirt", "install-hook"), ("xapi", "install")])
def test_nothing_for_a_model_is_installed_where_this_machine_would_use_it(run: Run, command: tuple[str, ...]) -> None:
    ran = run("--host", "model:pvh", *command)
    assert ran.code == 2 and "this machine's own toolstack would use it for model:pvh" in ran.err


def test_the_service_is_installed_with_this_command(run: Run, tmp_path: Path) -> None:
    done = run("libvirt", "install-service", "--folder", tmp_path)
    text = (tmp_path / install.UNIT).read_text()
    assert done.code == 0 and f"ExecStart={install.this_command()} libvirt watch" in text
    assert f"systemctl enable --now {install.UNIT}" in done.out
    assert "removed" in run("libvirt", "remove-service", "--folder", tmp_path).out and not list(tmp_path.iterdir())


def test_a_service_that_could_not_run_is_warned_of(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    connection.library.cache_clear()
    done = run("libvirt", "install-service", "--folder", tmp_path)
    connection.library.cache_clear()
    assert done.code == 0 and "the service will not run: this needs libvirt-python" in done.err


def test_the_service_may_write_where_locks_and_kept_captures_lie() -> None:
    lines = install.unit().splitlines()
    assert f"ReadWritePaths={folders.HOST.locks.parent}" in lines  # the folder itself is made by the first change
    assert f"StateDirectory={Path(folders.HOST.kept).relative_to('/var/lib')}" in lines


def test_a_command_in_a_home_can_be_read_by_the_service() -> None:
    assert "ProtectHome=read-only" in install.unit("/home/me/bin/xenvcpu")
    assert "ProtectHome=yes" in install.unit("/opt/bin/xenvcpu")


def test_a_path_means_what_it_says_to_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/a %h/$x/python")
    assert install.this_command() == '"/opt/a %%h/$$x/python" -m xenvcpu'


def _analyze(*arguments: object) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        pytest.skip("no systemd-analyze on this machine")


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = install.unit("/bin/true").replace("Documentation=man:xenvcpu(1)\n", "")
    (tmp_path / install.UNIT).write_text(text)
    done = _analyze("verify", tmp_path / install.UNIT)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_finds_the_service_well_shut_in(tmp_path: Path) -> None:
    (tmp_path / install.UNIT).write_text(install.unit())
    done = _analyze("security", "--offline=yes", "--threshold=20", tmp_path / install.UNIT)
    if "--offline" in done.stderr:
        pytest.skip("this systemd-analyze judges only units that run")
    assert done.returncode == 0, done.stdout
