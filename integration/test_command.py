# SPDX-License-Identifier: MIT
"""The command in a real dom0, as an administrator types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable

import pytest

from integration import drivers, starts
from integration.evidence.command import xenvcpu
from integration.evidence.tiny import TinyGuest
from xenvcpu import keptfile
from xenvcpu.api import Dom0Domain, open_host
from xenvcpu.capture import Capture
from xenvcpu.left import Left

Factory = Callable[..., TinyGuest]


@pytest.fixture
def flat32(tmp_path: Path) -> Path:
    path = tmp_path / "flat32.toml"
    path.write_text(xenvcpu("preset", "flat32").stdout)
    return path


@pytest.mark.smoke
def test_doctor_finds_dom0_complete() -> None:
    """Everything that dom0 needs is there."""
    done = xenvcpu("doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {check["name"]: check["status"] for check in json.loads(done.stdout)["checks"]}
    assert (found["libxenctrl"], found["libxenstore"], found["privcmd"]) == ("ok", "ok", "ok")


def test_start_list_show_stop(tiny_guest: Factory, flat32: Path) -> None:
    """The whole life of three vcpus, by name, domid and UUID, in one go each."""
    guest = tiny_guest(vcpus=4)
    contexts = {vcpuid: starts.context(guest, "flat32", vcpuid) for vcpuid in (1, 2, 3)}
    first, stride = contexts[1].rip, contexts[2].rip - contexts[1].rip
    asked = ("--set", f"eip={first} + {stride} * (vcpuid - 1)", "--set", "edi=0x500 + vcpuid")

    dry = xenvcpu("start", guest.name, "all", flat32, *asked, "--dry-run")
    assert dry.returncode == 0 and "load that stream in one call" in dry.stdout, dry.stderr
    assert guest.online() == [0]

    done = xenvcpu("start", guest.name, "all", flat32, *asked)
    assert done.returncode == 0, done.stderr
    assert [guest.dump(vcpuid)["rdi"] for vcpuid in (1, 2, 3)] == [0x501, 0x502, 0x503]

    listed = json.loads(xenvcpu("list", guest.domid, "--json").stdout)
    assert [vcpu["mode"] for vcpu in listed["domains"][0]["vcpus"]] == ["flat32"] * 4
    shown = xenvcpu("show", guest.name, "1")
    assert shown.returncode == 0 and "cs" in shown.stdout

    stopped = xenvcpu("stop", listed["domains"][0]["uuid"], "1-3")
    assert stopped.returncode == 0, stopped.stderr
    assert guest.online() == [0]
    guest.await_beats()


def test_recover_brings_back_what_a_change_has_lost(tiny_guest: Factory, tmp_path: Path) -> None:
    """From the file that a failed stop keeps: the lost vcpus run on with their registers."""
    guest = tiny_guest(vcpus=4)
    with open_host("dom0") as host:
        domain = host.domain(guest.name)
        assert isinstance(domain, Dom0Domain)
        domain.start((1, 2, 3), drivers.parked)
        stream = host.dom0.read_context(guest.domid, host.dom0.context_buffer(guest.domid))
        capture = Capture(guest.domid, domain.info.handle, domain.release, "stop", (2, 3), stream)
        domain.stop((2, 3))
        path = keptfile.keep(capture, Left(down=(2, 3)), str(tmp_path / "kept"))
        assert guest.online() == [0, 1]

        done = xenvcpu("recover", path)
        assert done.returncode == 0, done.stderr
        assert guest.online() == [0, 1, 2, 3]
        assert [domain.record(vcpuid)["rdi"] for vcpuid in (1, 2, 3)] == [0x501, 0x502, 0x503]
    guest.await_beats()


@pytest.mark.smoke
def test_exit_codes(tiny_guest: Factory, flat32: Path) -> None:
    """3 for a rule, 4 for Xen with its console line, 1 for a domain that is not there; the guest goes on."""
    guest = tiny_guest(vcpus=2)
    by_rule = xenvcpu("start", guest.name, "1", flat32, "--set", "cr4=0x8000")
    assert by_rule.returncode == 3 and "cr4" in by_rule.stderr
    by_xen = xenvcpu("start", guest.name, "1", flat32, "--set", "cr4=0x8000", "--ignore-rules", "cr4-bit")
    assert by_xen.returncode == 4 and f"HVM{guest.domid} restore" in by_xen.stderr, by_xen.stderr
    assert xenvcpu("list", "nosuchdomain").returncode == 1
    assert guest.online() == [0]
    guest.await_beats()
