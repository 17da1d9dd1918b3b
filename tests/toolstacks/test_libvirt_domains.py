# SPDX-License-Identifier: MIT
"""Domains and their declarations through libvirt, on its own in-memory driver."""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any, Iterator

import pytest

pytest.importorskip("libvirt")

from tests.toolstacks.conftest import Run
from tests.toolstacks.virt import CONTEXT, URI, connected, domain_xml, element
from xenvcpu.errors import DomainError, HostError, NoSuchDomainError
from xenvcpu.toolstacks.declaration import Declaration, DeclarationError
from xenvcpu.toolstacks.libvirt.connection import Connection, is_remote
from xenvcpu.toolstacks.libvirt.library import LibvirtError
from xenvcpu.toolstacks.libvirt.metadata import read_domain

WEB = uuid.UUID(int=0x1234)
DECLARED = Declaration(CONTEXT, "1-2", {"esp": "vcpuid"})


@pytest.fixture
def raw() -> Iterator[Any]:
    """libvirt's connection, with a domain `web` that is defined and does not run."""
    with connected() as made:
        domain = made.defineXML(domain_xml(WEB))
        yield made
        if domain.isActive():
            domain.destroy()
        domain.undefine()


@pytest.fixture
def connection(raw: Any) -> Iterator[Connection]:
    with Connection(URI) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "web.json"
    path.write_text(json.dumps(DECLARED.as_dict()))
    return path


def test_a_domain_is_found_by_name_uuid_and_number(raw: Any, connection: Connection) -> None:
    raw.lookupByName("web").create()
    number = raw.lookupByName("web").ID()
    found = {connection.domain(which).uuid for which in ("web", WEB, str(WEB), WEB.hex, str(number))}
    assert found == {WEB}


@pytest.mark.parametrize("which", ["none", "7777", "99999999999999999999", str(uuid.UUID(int=1)), "", "\udcff", "a/b"])
def test_a_domain_that_is_not_there_is_told(connection: Connection, which: str) -> None:
    with pytest.raises(NoSuchDomainError, match="domain"):
        connection.domain(which)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("xen:///system", False), ("xen+unix:///system", False), ("test:///default", False),
        ("xen+ssh://root@host/system", True), ("xen://host/", True), ("xen+tls:///system", True),
    ],
)
def test_a_uri_says_whether_it_leads_to_another_machine(uri: str, expected: bool) -> None:
    assert is_remote(uri) is expected


@pytest.mark.parametrize("uri", ["nonsense", "xen+unix:///?socket=/nowhere", "test:///nowhere.xml"])
def test_a_libvirt_that_does_not_answer_is_a_host_that_cannot(uri: str) -> None:
    with pytest.raises(HostError, match="connecting to"):
        Connection(uri)


def test_what_is_declared_is_read_again(connection: Connection) -> None:
    domain = connection.domain("web")
    flags = domain.scopes()
    assert list(flags) == ["config"]
    assert domain.declare(DECLARED, flags) == ("config",)
    assert domain.declaration(flags["config"]) == DECLARED


def test_the_hook_reads_what_was_declared(raw: Any, connection: Connection) -> None:
    connection.domain("web").declare(DECLARED, connection.domain("web").scopes())
    found = read_domain(raw.lookupByName("web").XMLDesc(0))
    assert (found.uuid, found.name, found.declaration) == (WEB, "web", DECLARED)


def test_declaring_the_same_again_changes_nothing(connection: Connection) -> None:
    domain = connection.domain("web")
    domain.declare(DECLARED, domain.scopes())
    assert domain.declare(DECLARED, domain.scopes()) == ()


def test_of_a_domain_that_runs_both_are_changed_or_one(raw: Any, connection: Connection) -> None:
    raw.lookupByName("web").create()
    domain = connection.domain("web")
    assert domain.declare(DECLARED, domain.scopes(live=True)) == ("live",)
    assert domain.declare(DECLARED, domain.scopes()) == ("config",)
    assert domain.declare(None, domain.scopes(config=True)) == ("config",)
    live, config = domain.scopes().values()
    assert (domain.declaration(live), domain.declaration(config)) == (DECLARED, None)


def test_what_is_not_there_cannot_be_changed(raw: Any, connection: Connection) -> None:
    with pytest.raises(DomainError, match="does not run"):
        connection.domain("web").scopes(live=True)
    passing = raw.createXML(domain_xml(uuid.UUID(int=9), name="passing"))
    try:
        with pytest.raises(DomainError, match="not defined"):
            connection.domain("passing").scopes(config=True)
    finally:
        passing.destroy()


@pytest.mark.parametrize("vcpus", ["4", "1-4"])
def test_a_vcpu_that_the_domain_lacks_is_refused_when_declared(connection: Connection, vcpus: str) -> None:
    domain = connection.domain("web")
    with pytest.raises(DeclarationError, match="vcpus 0 to 3, not 4"):
        domain.declare(Declaration(CONTEXT, vcpus), domain.scopes())
    assert domain.text(domain.scopes()["config"]) is None


def test_a_declaration_that_was_spoilt_is_told_and_can_be_replaced(raw: Any, connection: Connection) -> None:
    raw.defineXML(domain_xml(WEB, element(attributes='vcpus="x"')))
    domain = connection.domain("web")
    with pytest.raises(DeclarationError, match="^web: vcpus: 'x' is not a set"):
        domain.declaration(domain.scopes()["config"])
    assert domain.declare(DECLARED, domain.scopes()) == ("config",)


def test_what_others_keep_in_the_metadata_stays(raw: Any, connection: Connection) -> None:
    raw.defineXML(domain_xml(WEB, "<o:app xmlns:o='http://other/'>theirs</o:app>"))
    domain = connection.domain("web")
    domain.declare(DECLARED, domain.scopes())
    domain.declare(None, domain.scopes())
    text = raw.lookupByName("web").XMLDesc(0)
    assert "theirs" in text and "xenvcpu" not in text


def test_a_refusal_of_libvirt_carries_its_code(raw: Any, connection: Connection) -> None:
    with pytest.raises(LibvirtError, match="^web: .*not paused") as caught:
        connection.domain("web").resume()
    assert caught.value.code == 1  # VIR_ERR_INTERNAL_ERROR


# The command line.

def test_set_get_and_remove(run: Run, connection: Connection, file: Path, tmp_path: Path) -> None:
    at = ("--connect", URI)
    assert run("libvirt", "set", "web", file, *at).out == "web: vcpus 1-2 declared (config)\n"
    got = run("libvirt", "get", "web", *at)
    (tmp_path / "again.json").write_text(got.out)
    assert run("libvirt", "set", "web", tmp_path / "again.json", *at).out == "web: as it was\n"
    assert run("libvirt", "remove", "web", *at, "--json").json["changed"] == ["config"]
    done = run("libvirt", "get", "web", *at)
    assert (done.code, done.err) == (1, "xenvcpu: web declares nothing\n")


def test_set_takes_a_context_file_and_what_the_command_line_adds(run: Run, connection: Connection) -> None:
    done = run(
        "libvirt", "set", "web", "-", "--vcpus", "3", "--set", "esp=0x800", "--connect", URI, stdin=CONTEXT
    )
    assert done.code == 0
    got = run("libvirt", "get", "web", "--json", "--connect", URI).json
    assert got["name"] == "web" and got["uuid"] == str(WEB)
    assert got["declaration"] == Declaration(CONTEXT, "3", {"esp": "0x800"}).as_dict()


def test_what_no_xen_would_start_is_declared_only_when_its_rules_are_ignored(run: Run, connection: Connection) -> None:
    line = ("libvirt", "set", "web", "-", "--vcpus", "2", "--set", "cr4=0x8000", "--connect", URI)
    assert run(*line, stdin=CONTEXT).code == 3
    assert run("libvirt", "get", "web", "--connect", URI).code == 1
    assert run(*line, "--ignore-rules", "all", stdin=CONTEXT).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("set", "none", "-"), 1, "domain 'none'"),
        (("set", "web", "/nowhere"), 1, "No such file"),
        (("set", "web", "-", "--vcpus", "3-1"), 2, "counts down"),
        (("set", "web", "-", "--set", "rip=1"), 1, "settings.rip: no such key"),
        (("set", "web", "-", "--live"), 1, "does not run"),
        (("set", "web", "-", "--set", "cr4=0x8000"), 3, "vcpu 1: cr4"),
        (("get", "web", "--live", "--config"), 2, "exclude each other"),
        (("get", "web", "--connect", "bogus:///"), 5, "connecting to bogus:///"),
    ],
)
def test_a_failure_has_its_exit_code(
    run: Run, connection: Connection, arguments: tuple[str, ...], code: int, said: str
) -> None:
    at = () if "--connect" in arguments else ("--connect", URI)
    done = run("libvirt", *arguments, *at, stdin=CONTEXT)
    assert (done.code, done.out) == (code, "") and said in done.err


def test_without_libvirt_python_it_says_how_to_get_it(call: Run, tmp_path: Path) -> None:
    (tmp_path / "libvirt.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path), str(Path(__file__).parents[2])])
    done = call(sys.executable, "-m", "xenvcpu", "libvirt", "get", "web", env={"PYTHONPATH": path})
    assert done.code == 5 and "apt install python3-libvirt" in done.err
