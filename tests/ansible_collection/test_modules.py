# SPDX-License-Identifier: MIT
"""The modules, run by real ansible-core against a model of Xen on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict

import pytest
from tests.ansible_collection.conftest import Play, Played, new_world, online, run_playbook

START, INFO = "xenvcpu.xen.xenvcpu", "xenvcpu.xen.xenvcpu_info"
CONTEXT = {"preset": "flat32", "eip": 0x100000, "esp": "0x80000 + 0x1000 * vcpuid"}
DECLARED = 'vcpus = "2"\n[context]\npreset = "flat32"\neip = 0x300000\nesp = 0x90000\n'
RESET_DECLARED = f"reset = true\n{DECLARED}"
WRONG: Dict[str, Dict[str, Any]] = {
    "no context": {},
    "two contexts": {"context": CONTEXT, "src": "/etc/passwd"},
    "a key that is none": {"context": {**CONTEXT, "eipp": 1}},
    "a context that is refused": {"context": {**CONTEXT, "cr0": 0x80000000}},
    "no such domain": {"context": CONTEXT, "domain": "nosuch"},
    "no such vcpu": {"context": CONTEXT, "vcpus": "3-4"},
    "no vcpus": {"context": CONTEXT, "vcpus": "x"},
    "an empty list": {"state": "stopped", "vcpus": []},
    "no such host": {"context": CONTEXT, "host": "xen"},
    "no such file": {"src": "/nonexistent/ap.toml"},
    "no time": {"context": CONTEXT, "timeout": 0},
    "the last vcpu": {"state": "stopped", "vcpus": "0", "allow_unbuilt": True},
    "a rule that there is not": {"context": CONTEXT, "ignore_rules": ["cr4-bits"]},
    "another rule ignored": {"context": {**CONTEXT, "cr0": 0x80000000}, "ignore_rules": ["cr4-bit"]},
    "its rules ignored": {"context": {**CONTEXT, "cr0": 0x80000000}, "ignore_rules": ["all"]},
    "what kills the host": {"context": {**CONTEXT, "msr_lstar": "1 << 63"}, "ignore_rules": ["all"]},
}


def task(name: str, world: Path, module: str = START, **options: Any) -> Dict[str, Any]:
    domain = {"domain": "web"} if module == START else {}
    return {"name": name, module: {"host": f"model:{world}", **domain, **options}, "ignore_errors": True}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One domain through its life: Ansible takes a second to begin, so that all of it is one playbook."""
    folder = tmp_path_factory.mktemp("life")
    (folder / "web.toml").write_text(DECLARED)
    (folder / "reset.toml").write_text(RESET_DECLARED)
    (folder / "ap.toml").write_text('preset = "flat32"\neip = 0x100000\nesp = 0x80000\n')
    world, wrong = new_world(folder / "world.json"), new_world(folder / "wrong.json")
    lookup = "{{ lookup('ansible.builtin.file', '" + str(folder / "ap.toml") + "') }}"
    done = run_playbook(folder, [
        task("start", world, context=CONTEXT, vcpus=["1", "3"]),
        task("again", world, context=CONTEXT, vcpus="1,3"),
        task("look", world, INFO, domains=["web"], registers=True),
        task("look lightly", world, INFO),
        task("from a text", world, context=lookup, vcpus="2", settings={"eip": 0x200000}),
        task("stop", world, state="stopped", vcpus=2),
        task("stop again", world, state="stopped", vcpus=2),
        task("from a file", world, src=str(folder / "web.toml")),
        task("from a file that says reset", world, src=str(folder / "reset.toml")),
        task("from a text that says reset", world, context=RESET_DECLARED, vcpus="1-3"),
        task("reset", world, src=str(folder / "web.toml"), state="reset", vcpus=["1-2"]),
        task("after", world, INFO, domains=["web"], registers=True),
        task("stop all", world, state="stopped"),
        task("stop the last", world, state="stopped", vcpus="0", allow_last=True),
        *(task(name, wrong, **{"domain": "web", **options}) for name, options in WRONG.items()),
        task("nothing was touched", wrong, INFO),
    ], "--diff")
    assert done.code == 0, done.out
    return done


def vcpus(result: Dict[str, Any]) -> Dict[int, Any]:
    (domain,) = result["domains"]
    return {vcpu["vcpuid"]: vcpu for vcpu in domain["vcpus"]}


def test_the_first_run_starts_what_is_down_and_the_second_changes_nothing(played: Played) -> None:
    first, second = played.named("start"), played.named("again")
    assert (first["changed"], first["started"], first["stopped"], first["vcpus"]) == (True, [1, 3], [], [1, 3])
    assert first["name"] == "web" and first["pause_seconds"] > 0 and first["paused"] is False
    assert (second["changed"], second["started"], second["pause_seconds"]) == (False, [], None)


def test_the_diff_has_a_line_for_each_vcpu(played: Played) -> None:
    assert played.named("start")["diff"] == {
        "before": "vcpu 1: down\nvcpu 3: down\n",
        "after": "vcpu 1: up, flat32 at 0x100000\nvcpu 3: up, flat32 at 0x100000\n",
    }
    assert played.named("again")["diff"] == {"before": "vcpu 1: up\nvcpu 3: up\n", "after": "vcpu 1: up\nvcpu 3: up\n"}
    assert "+vcpu 3: up, flat32 at 0x100000" in played.out


def test_registers_are_told_where_they_are_asked_for(played: Played) -> None:
    assert (played.named("look")["xen"], played.named("look")["changed"]) == ("4.17", False)
    seen, light = vcpus(played.named("look")), vcpus(played.named("look lightly"))
    assert (seen[1]["mode"], seen[1]["rip"], seen[2]["online"]) == ("flat32", "0x100000", False)
    assert light[1]["mode"] is None and [vcpu["online"] for vcpu in light.values()] == [True, True, False, True]


def test_a_context_may_be_a_text_with_settings(played: Played) -> None:
    assert played.named("from a text")["started"] == [2]
    assert "at 0x200000" in played.named("from a text")["diff"]["after"]


def test_stopping_is_done_once(played: Played) -> None:
    first, second = played.named("stop"), played.named("stop again")
    assert (first["changed"], first["stopped"], first["diff"]["after"]) == (True, [2], "vcpu 2: down\n")
    assert (second["changed"], second["stopped"]) == (False, [])


def test_a_file_on_the_target_declares_its_vcpus(played: Played) -> None:
    assert played.named("from a file")["started"] == [2]


@pytest.mark.parametrize("where", ["file", "text"])
def test_a_declaration_that_says_reset_restarts_nothing_unless_the_state_does(played: Played, where: str) -> None:
    done = played.named(f"from a {where} that says reset")
    assert (done["changed"], done["stopped"], done["started"]) == (False, [], [])


def test_a_reset_starts_those_that_run_anew(played: Played) -> None:
    reset, after = played.named("reset"), vcpus(played.named("after"))
    assert (reset["changed"], reset["stopped"], reset["started"]) == (True, [1, 2], [1, 2])
    assert [after[vcpuid]["rip"] for vcpuid in (1, 2, 3)] == ["0x300000", "0x300000", "0x100000"]


def test_all_that_is_stopped_is_all_but_the_boot_vcpu(played: Played) -> None:
    assert played.named("stop all")["stopped"] == [1, 2, 3]


def test_the_last_vcpu_is_stopped_where_that_is_allowed(played: Played) -> None:
    assert played.named("stop the last")["stopped"] == [0]


@pytest.mark.parametrize(("name", "kind", "says"), [
    ("no context", None, "any of the following are missing: context, src"),
    ("two contexts", None, "mutually exclusive: context|src"),
    ("a key that is none", "ContextFileError", "eipp: no such key: did you mean eip?"),
    ("a context that is refused", "RefusedContextError", "CR0.PG needs CR0.PE"),
    ("no such domain", "NoSuchDomainError", "there is no domain 'nosuch'"),
    ("no such vcpu", "DeclarationError", "vcpus 0 to 3, not 4"),
    ("no vcpus", "DeclarationError", "'x' is not a set of vcpus"),
    ("an empty list", None, "an empty list names no vcpu"),
    ("no such host", "HostError", "'xen' is not a host"),
    ("no such file", "ContextFileError", "/nonexistent/ap.toml"),
    ("no time", None, "timeout: 0 is not between 0 and 3600 seconds"),
    ("the last vcpu", "LastVcpuError", "--allow-last"),
    ("a rule that there is not", "ContextError", "'cr4-bit' is one"),
    ("another rule ignored", "RefusedContextError", "CR0.PG needs CR0.PE"),
    ("its rules ignored", "HypercallError", "EINVAL"),
    ("what kills the host", "RefusedContextError", "the whole host goes down"),
])
def test_a_failure_is_told_in_words_and_by_type(played: Played, name: str, kind: Any, says: str) -> None:
    result = played.named(name)
    assert result["failed"] and says in result["msg"] and "Traceback" not in str(result)
    assert result.get("error", {}).get("type") == kind


def test_what_is_refused_has_touched_nothing(played: Played) -> None:
    assert [vcpu["online"] for vcpu in vcpus(played.named("nothing was touched")).values()] == [True] + [False] * 3


def test_check_mode_foresees_all_of_it_and_touches_nothing(play: Play, world: Path) -> None:
    before = world.read_bytes()
    done = play([
        task("start", world, context=CONTEXT),
        task("refused", world, context={**CONTEXT, "cr0": 0x80000000}),
        task("stop", world, state="stopped"),
        task("look", world, INFO),
    ], "--check", "--diff")
    assert world.read_bytes() == before
    start = done.named("start")
    assert (start["changed"], start["started"], start["pause_seconds"]) == (True, [1, 2, 3], None)
    assert "vcpu 3: up, flat32 at 0x100000" in start["diff"]["after"]
    assert done.named("refused")["error"]["type"] == "RefusedContextError"
    assert done.named("stop")["changed"] is False and done.named("look")["kind"] == "model"


def test_inside_a_guest_its_own_vcpus_are_started(play: Play, world: Path) -> None:
    inside = {"host": f"model:{world}@web", "domain": "self", "context": CONTEXT}
    done = play([
        {"name": "start", START: {**inside, "vcpus": "1"}},
        {"name": "again", START: {**inside, "vcpus": "1"}},
        {"name": "look", INFO: {"host": inside["host"]}},
        {"name": "reset", START: {**inside, "state": "reset"}, "ignore_errors": True},
    ])
    assert (done.named("start")["changed"], done.named("again")["changed"]) == (True, False)
    assert [vcpu["online"] for vcpu in vcpus(done.named("look")).values()] == [True, True, False, False]
    assert "from dom0 only" in done.named("reset")["msg"] and online(world) == [0, 1]


def test_a_target_without_xenvcpu_is_told_what_to_install(play: Play, world: Path, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    done = play(
        [task("start", world, context=CONTEXT), task("look", world, INFO)], "-e", f"ansible_python_interpreter={bare}"
    )
    for name in ("start", "look"):
        assert "Python library (xenvcpu)" in done.named(name)["msg"]
        assert "Remedy: install the wheel of xenvcpu" in done.named(name)["msg"]
