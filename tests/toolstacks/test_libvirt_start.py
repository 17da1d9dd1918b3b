# SPDX-License-Identifier: MIT
"""A domain is started with its declared vcpus in place before anything of it runs."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

pytest.importorskip("libvirt")

from tests.toolstacks.conftest import Run
from tests.toolstacks.virt import CONTEXT, URI, connected, domain_xml, handle, of_xen, online
from xenvcpu.allowances import Allowances
from xenvcpu.errors import DomainError, HostError, RefusedContextError
from xenvcpu.host import open_host
from xenvcpu.toolstacks.declaration import Declaration
from xenvcpu.toolstacks.libvirt.connection import Connection
from xenvcpu.toolstacks.libvirt.library import library
from xenvcpu.toolstacks.libvirt.start import start


class PausedStart:
    """A domain of the in-memory driver, which cannot create one paused: what Xen's driver can, in two steps.

    Attributes:
        seen: Its state whenever it was asked for something that changes it.
    """

    def __init__(self, raw: Any, world: str) -> None:
        self._raw = raw
        self._world = world
        self.seen: list[tuple[str, list[int]]] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("resume", "destroy"):
            self.seen.append((name, online(self._world)))
        return getattr(self._raw, name)

    def createWithFlags(self, flags: int) -> int:
        """Only paused: no other flag is understood."""
        assert flags == library().VIR_DOMAIN_START_PAUSED
        self.seen.append(("create", online(self._world)))
        self._raw.create()
        return int(self._raw.suspend())


class Lookup:
    """A connection that finds that domain."""

    def __init__(self, raw: Any, domain: PausedStart) -> None:
        self._raw = raw
        self._domain = domain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def lookupByName(self, name: str) -> Any:
        """The one domain."""
        assert name == "web"
        return self._domain


@pytest.fixture
def web(world: str) -> Iterator[PausedStart]:
    with connected() as raw:
        domain = raw.defineXML(domain_xml(handle(world)))
        yield PausedStart(domain, world)
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(library().VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)


@pytest.fixture
def connection(web: PausedStart) -> Iterator[Connection]:
    with Connection(URI) as made:
        plain = made.raw
        made.raw = Lookup(plain, web)
        yield made


def declare(connection: Connection, declared: Declaration) -> None:
    domain = connection.domain("web")
    domain.declare(declared, domain.scopes(config=True))


def test_the_vcpus_are_loaded_before_it_runs(web: PausedStart, connection: Connection, world: str) -> None:
    declare(connection, Declaration(CONTEXT, "1,3"))
    change = start(connection, "web", lambda: open_host(world))
    assert change.start == (1, 3)
    assert web.seen == [("create", [0]), ("resume", [0, 1, 3])]
    assert web.state()[0] == library().VIR_DOMAIN_RUNNING


def test_a_failure_leaves_it_as_it_was_not_running(web: PausedStart, connection: Connection, world: str) -> None:
    """Its policy has no PKE, which is known once Xen has it."""
    declare(connection, Declaration(CONTEXT, "1", {"cr4": "0x400000"}))
    with pytest.raises(RefusedContextError, match="PKE"):
        start(connection, "web", lambda: open_host(world))
    assert not web.isActive() and online(world) == [0]
    assert [step for step, _ in web.seen] == ["create", "destroy"]


def test_a_host_that_cannot_be_opened_leaves_it_alone(web: PausedStart, connection: Connection) -> None:
    declare(connection, Declaration(CONTEXT))
    with pytest.raises(HostError):
        start(connection, "web", lambda: open_host("bogus"))
    assert web.seen == []


def test_a_domain_that_declares_nothing_is_not_started(web: PausedStart, connection: Connection, world: str) -> None:
    with pytest.raises(DomainError, match="declares nothing"):
        start(connection, "web", lambda: open_host(world))
    assert web.seen == []


def test_a_domain_that_runs_is_not_started(web: PausedStart, connection: Connection, world: str) -> None:
    declare(connection, Declaration(CONTEXT))
    web.create()
    with pytest.raises(DomainError, match="runs already"):
        start(connection, "web", lambda: open_host(world))


def test_a_saved_state_is_not_thrown_away(web: PausedStart, connection: Connection, world: str) -> None:
    declare(connection, Declaration(CONTEXT))
    web.create()
    web.managedSave()
    with pytest.raises(DomainError, match="saved state"):
        start(connection, "web", lambda: open_host(world))
    assert web.hasManagedSaveImage() and web.seen == []


def test_a_guest_that_begins_with_hvmloader_is_refused_unless_that_is_allowed(
    web: PausedStart, connection: Connection, world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(connection, Declaration(CONTEXT))
    of_xen(monkeypatch)
    with pytest.raises(DomainError, match="begins with hvmloader"):
        start(connection, "web", lambda: open_host(world))
    assert web.seen == []
    assert start(connection, "web", lambda: open_host(world), allow=Allowances.of("firmware")).start == (1, 2, 3)


def test_from_another_machine_nothing_is_started(web: PausedStart, connection: Connection, world: str) -> None:
    connection.uri = "xen+ssh://host/system"
    with pytest.raises(HostError, match="another machine"):
        start(connection, "web", lambda: open_host(world))


def test_the_command_says_what_libvirt_refused(run: Run, web: PausedStart, world: str) -> None:
    """The in-memory driver cannot create a domain paused, and nothing of it runs."""
    assert run("libvirt", "set", "web", "-", "-c", URI, stdin=CONTEXT).code == 0
    done = run("--host", world, "libvirt", "start", "web", "-c", URI)
    assert done.code == 1 and "xenvcpu: web: unsupported flags" in done.err
    assert not web.isActive() and online(world) == [0]


def test_what_its_xml_takes_from_it_is_refused_before_it_is_created(
    monkeypatch: pytest.MonkeyPatch, web: PausedStart, connection: Connection, world: str
) -> None:
    plain = library().virDomain.XMLDesc
    cpu = "<cpu mode='host-passthrough'><feature policy='disable' name='smep'/></cpu></domain>"
    monkeypatch.setattr(
        library().virDomain, "XMLDesc", lambda self, flags=0: str(plain(self, flags)).replace("</domain>", cpu)
    )
    declare(connection, Declaration(CONTEXT, "1", {"cr4": "0x100000"}))
    with pytest.raises(RefusedContextError, match="SMEP"):
        start(connection, "web", lambda: open_host(world))
    assert web.seen == []
