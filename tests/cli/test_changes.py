# SPDX-License-Identifier: MIT
"""Waiting for others, `recover` and `up`, as a user sees them."""

from __future__ import annotations

import json
import signal
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from xenvcpu import keptfile
from xenvcpu.abi import cpu_record
from xenvcpu.capture import Capture
from xenvcpu.deadline import Patience
from xenvcpu.guard.folders import of_world
from xenvcpu.host import open_host
from xenvcpu.left import Left
from xenvcpu.lock import domain_lock
from xenvcpu.ports.dom0 import Dom0Port

Run = Callable[..., Any]
START = ("start", "web", "1", "preset:flat32", "--set", "eip=0x100000")


@pytest.fixture
def handle(world: str) -> uuid.UUID:
    with open_host(world) as host:
        return uuid.UUID(host.domain("web").uuid)


@pytest.fixture
def busy(world: str, handle: uuid.UUID) -> Iterator[None]:
    """Another program drives the domain."""
    patience = Patience()
    with domain_lock(handle, of_world(world[len("model:") :]).locks, patience, patience.begin()):
        yield


@pytest.fixture
def kept(run: Run, world: str) -> str:
    """A capture of `web` with vcpus 0 and 1, and a `web` in which vcpu 1 is down by now and vcpu 2 up."""
    run("--host", world, *START)
    with open_host(world) as host:
        web = host.domain("web")
        stream = host.dom0.read_context(web.domid, host.dom0.context_buffer(web.domid))  # type: ignore[arg-type]
        capture = Capture(web.domid, web.info.handle, web.release, "start", (2,), stream)  # type: ignore[union-attr]
        path = keptfile.keep(capture, Left(down=(1,), surplus=(2,)), host.folders.kept)
    run("--host", world, "stop", "web", "1")
    run("--host", world, "start", "web", "2", "preset:flat32")
    return path


def online(run: Run, world: str) -> list[int]:
    vcpus = run("--host", world, "list", "web", "--json").json["domains"][0]["vcpus"]
    return [vcpu["vcpuid"] for vcpu in vcpus if vcpu["online"]]


def test_a_busy_domain_is_waited_for_with_a_message(run: Run, world: str, busy: None) -> None:
    ran = run("--host", world, *START, "--timeout", "0.1")
    assert ran.code == 1 and "waiting for process" in ran.err
    assert "which drives domain 1 (web), 0.1 s at most; Ctrl-C gives up" in ran.err
    assert "still after 0.1 s; nothing was touched: try again when it has ended" in ran.err


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["text", "json"])
def test_an_interrupt_that_waited_for_the_end_of_a_start_says_that_it_was_done(
    run: Run, world: str, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    load = Dom0Port.load_context

    def interrupted(port: Dom0Port, domid: int, stream: bytes) -> None:
        signal.raise_signal(signal.SIGINT)
        load(port, domid, stream)

    monkeypatch.setattr(Dom0Port, "load_context", interrupted)
    ran = run("--host", world, *START, *option)
    assert ran.code == 130 and "interrupted; the start of vcpu 1 of domain 1 was done before" in ran.err
    assert online(run, world) == [0, 1]


def test_a_domain_of_the_same_uuid_in_another_world_is_free(run: Run, busy: None, tmp_path: Path) -> None:
    run("model", "new", tmp_path / "other.json", "--domain", "web:4", "--xen", "4.17")
    assert run("--host", f"model:{tmp_path / 'other.json'}", *START, "--no-wait").code == 0


def test_under_json_only_the_error_is_on_stderr(run: Run, world: str, busy: None) -> None:
    ran = run("--host", world, *START, "--timeout", "0.1", "--json")
    assert json.loads(ran.err)["error"]["type"] == "DomainBusyError"
    assert json.loads(ran.err)["error"]["domid"] == 1


def test_who_does_not_wait_is_told_at_once(run: Run, world: str, busy: None) -> None:
    ran = run("--host", world, *START, "--no-wait")
    assert ran.code == 1 and "waiting" not in ran.err and "--no-wait" in ran.err


def test_a_timeout_is_a_positive_number_of_seconds(run: Run, world: str) -> None:
    assert [run("--host", world, *START, "--timeout", text).code for text in ("0", "-1", "soon")] == [2, 2, 2]


def test_what_is_not_a_number_is_no_timeout(run: Run, world: str) -> None:
    ran = run("--host", world, *START, "--timeout", "nan")
    assert ran.code == 2 and "not a number" in ran.err


def test_recover_without_a_file_says_that_nothing_is_kept(run: Run, world: str) -> None:
    assert "nothing is kept" in run("--host", world, "recover").out
    assert run("--host", world, "recover", "--json").json["kept"] == []


def test_recover_lists_what_is_kept(run: Run, world: str, kept: str) -> None:
    text = run("--host", world, "recover").out
    assert kept in text and "vcpu 1 is down, and was online" in text
    (each,) = run("--host", world, "recover", "--json").json["kept"]
    assert (each["file"], each["verb"], each["vcpus"]) == (kept, "start", [2])


def test_recover_brings_back_what_ran_and_makes_fresh_what_did_not(run: Run, world: str, kept: str) -> None:
    planned = run("--host", world, "recover", kept, "--dry-run")
    assert planned.out == "vcpu 1 would be brought back as captured\nvcpu 2 would be made fresh\n"
    assert online(run, world) == [0, 2] and Path(kept).exists()
    ran = run("--host", world, "recover", kept)
    assert (ran.code, ran.out) == (0, "vcpu 1 was brought back as captured\nvcpu 2 was made fresh\n")
    assert online(run, world) == [0, 1] and not Path(kept).exists()
    assert run("--host", world, "show", "web", "1", "--json").json["rip"] == "0x100000"


def test_a_capture_of_a_domain_that_is_gone_brings_nothing_back(run: Run, world: str, kept: str) -> None:
    found = json.loads(Path(kept).read_text())
    Path(kept).write_text(json.dumps({**found, "uuid": str(uuid.UUID(int=7))}))
    ran = run("--host", world, "recover", kept)
    assert ran.code == 1 and "is gone: there is nothing to bring back" in ran.err


def test_a_capture_of_another_xen_is_refused(run: Run, world: str, kept: str) -> None:
    found = json.loads(Path(kept).read_text())
    Path(kept).write_text(json.dumps({**found, "xen": "4.14"}))
    ran = run("--host", world, "recover", kept)
    assert ran.code == 1 and "under Xen 4.14" in ran.err and online(run, world) == [0, 2]


@pytest.mark.parametrize(("key", "value"), [("domid", 9), ("boot", "another")])
def test_registers_of_another_life_are_not_loaded_into_this_one(
    run: Run, world: str, kept: str, key: str, value: object
) -> None:
    found = json.loads(Path(kept).read_text())
    Path(kept).write_text(json.dumps({**found, key: value}))
    ran = run("--host", world, "recover", kept)
    assert ran.code == 1 and "rebooted, restored or migrated" in ran.err and online(run, world) == [0, 2]


def test_what_was_not_seen_to_be_lost_comes_back_only_where_that_is_allowed(run: Run, world: str, kept: str) -> None:
    found = json.loads(Path(kept).read_text())
    Path(kept).write_text(json.dumps({**found, "left": {**found["left"], "is_known": False}}))
    assert "Xen could not be asked" in run("--host", world, "recover", kept).err
    assert run("--host", world, "recover", kept, "--dry-run").code == 1 and online(run, world) == [0, 2]
    assert run("--host", world, "recover", kept, "--allow-unseen").code == 0 and online(run, world) == [0, 1]


@pytest.mark.parametrize("option", [(), ("--dry-run",)], ids=["recover", "dry-run"])
def test_a_capture_that_would_take_the_host_down_is_refused(
    run: Run, world: str, kept: str, option: tuple[str, ...]
) -> None:
    found = keptfile.read(kept)
    record = found.capture.state.cpu[1].payload
    deadly = cpu_record.decode(record).with_values(msr_lstar=1 << 63).pack()
    capture = replace(found.capture, stream=found.capture.stream.replace(record, deadly))
    again = keptfile.keep(capture, found.left, str(Path(kept).parent))
    refused = run("--host", world, "recover", again, *option)
    assert refused.code == 3 and "the whole host goes down" in refused.err and online(run, world) == [0, 2]


def test_vcpus_that_were_not_lost_are_let_be(run: Run, world: str, kept: str) -> None:
    found = json.loads(Path(kept).read_text())
    left = {**found["left"], "surplus": [], "other": ["vcpu 0: its PAT is no more 0x7"]}
    Path(kept).write_text(json.dumps({**found, "left": left}))
    ran = run("--host", world, "recover", kept)
    assert online(run, world) == [0, 1, 2] and "cannot be brought back: vcpu 0: its PAT" in ran.out
    assert Path(kept).exists()


def test_one_damaged_file_does_not_hide_the_others(run: Run, world: str, kept: str) -> None:
    Path(kept).with_name(f"{uuid.UUID(int=1)}-x.capture.json").write_text("{")
    ran = run("--host", world, "recover")
    assert ran.code == 0 and kept in ran.out and "no file that xenvcpu kept" in ran.err


@pytest.mark.parametrize("change", [
    {"stream": "%%%"}, {"stream": "AAAA"}, {"stream": None}, {"schema": 9}, {"domid": -1}, {"vcpus": ["x"]},
    {"uuid": "x"}, {"xen": "5.0"}, {"left": 5}, {"left": {}}, {"at": "now"}, {"boot": 5}, {"reached": [-1]},
], ids=str)
def test_a_damaged_capture_is_told_by_its_name(run: Run, world: str, kept: str, change: dict[str, object]) -> None:
    found = json.loads(Path(kept).read_text())
    Path(kept).write_text(json.dumps({**found, **change}))
    ran = run("--host", world, "recover", kept)
    assert ran.code == 1 and kept in ran.err and online(run, world) == [0, 2]


@pytest.mark.parametrize("text", ["", "[]", "{", "\0" * 9, "[" * 100000], ids=["empty", "list", "cut", "zeros", "deep"])
def test_what_is_no_capture_is_told_by_its_name(run: Run, world: str, tmp_path: Path, text: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    ran = run("--host", world, "recover", path)
    assert ran.code == 1 and str(path) in ran.err


def test_a_file_that_is_not_there_is_no_fault_of_the_host(run: Run, world: str, tmp_path: Path) -> None:
    assert run("--host", world, "recover", tmp_path / "none").code == 1


def test_a_domain_that_somebody_holds_paused_is_told_so(run: Run, world: str) -> None:
    with open_host(world) as host:
        host.dom0.pause(1)
    ran = run("--host", world, *START)
    assert ran.code == 0 and "is paused by somebody else" in ran.out
    assert "web is paused" in run("--host", world, "list").err
    (web,) = run("--host", world, "list", "web", "--json").json["domains"]
    assert web["paused"] is True
    assert run("--host", world, "stop", "web", "1").code == 0


def test_inside_a_guest_a_stopped_vcpu_runs_on(run: Run, world: str) -> None:
    inside = f"{world}@web"
    run("--host", inside, "start", "self", "1", "preset:flat32")
    run("--host", inside, "stop", "self", "1")
    assert run("--host", inside, "up", "self", "all").out == "vcpu 1 of self: runs on\n"
    assert run("--host", inside, "up", "self", "1", "--json").json["up"] == []
    assert run("--host", inside, "up", "self", "1").out == "vcpu 1 of self: ran already\n"
    assert run("--host", inside, "up", "self", "2").code == 4


def test_from_dom0_no_vcpu_just_runs_on(run: Run, world: str) -> None:
    ran = run("--host", world, "up", "web", "1")
    assert ran.code == 5 and "xenvcpu start" in ran.err
