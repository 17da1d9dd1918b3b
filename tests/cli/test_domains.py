# SPDX-License-Identifier: MIT
"""`list`, `show`, `start`, `stop`, `doctor` and `model`, on a world that is kept in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest

from xenvcpu.model import worldfile
from xenvcpu.model.domain import Shutdown

Run = Callable[..., Any]

AT = ("--set", "eip=0x100000", "--set", "esp=0x9000 + 0x1000 * vcpuid")


def online(run: Run, world: str) -> list[int]:
    """The vcpus of `web` that are up."""
    vcpus = run("--host", world, "list", "web", "--json").json["domains"][0]["vcpus"]
    return [vcpu["vcpuid"] for vcpu in vcpus if vcpu["online"]]


def test_list_shows_what_runs_where(run: Run, world: str) -> None:
    rows = [line.split() for line in run("--host", world, "list").out.splitlines()]
    assert ["NAME", "ID", "VCPU", "CPU", "STATE", "TIME(S)", "INIT", "MODE", "RIP"] == rows[0]
    assert [["web", str(vcpuid)] for vcpuid in range(4)] == [[row[0], row[2]] for row in rows[1:]]
    assert ["-", "--p", "no"] == [rows[2][3], rows[2][4], rows[2][6]]


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("model:pvh", ("start", "web", "1", "preset:flat32")), ("model:pvh", ("stop", "web", "0", "--allow-last")),
        ("model:pvh@web", ("start", "self", "1", "preset:flat32")),
    ],
    ids=["start", "stop", "start from inside"],
)
def test_what_is_changed_in_a_built_in_world_is_said_to_be_forgotten(
    run: Run, host: str, command: tuple[str, ...]
) -> None:
    note = "the world pvh is this command's own, and forgotten now"
    assert note in run("--host", host, *command).err
    assert [True] == [note in each for each in run("--host", host, *command, "--json").json["notes"]]
    assert "" == run("--host", host, *command, "--quiet").err


def test_what_lasts_is_not_said_to_be_forgotten(run: Run, world: str) -> None:
    assert [] == run("--host", world, "start", "web", "1", "preset:flat32", "--json").json["notes"]
    assert "" == run("--host", "model:pvh", "start", "web", "1", "preset:flat32", "--dry-run").err


def test_a_file_with_the_name_of_a_built_in_world_is_told_how_it_is_opened(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("model", "new", "pvh", "--domain", "foo:2").out.endswith("use it with --host model:./pvh\n")
    assert "foo" in run("--host", "model:./pvh", "list").out and "foo" in run("model", "show", "./pvh").out
    assert "web" in run("--host", "model:pvh", "list").out and "web" in run("model", "show", "pvh").out


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("web:4", "web:2"), "two domains are named 'web'"), (("Domain-0:4",), "two domains are named 'Domain-0'"),
        (("w\udcff:2",), "is no name of a domain: not UTF-8"),
    ],
)
def test_names_that_no_host_could_have_are_refused(
    run: Run, tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    ran = run("model", "new", tmp_path / "x.json", *(word for name in names for word in ("--domain", name)))
    assert (1, True, False) == (ran.code, words in ran.err, (tmp_path / "x.json").exists())


@pytest.fixture
def unwritable(world: str) -> str:
    """The world, in a folder in which no new version of it can be made: as of another user, but for root too."""
    path = Path(world[len("model:") :])
    (path.parent / f".{path.name}.new").mkdir()
    return world


@pytest.mark.parametrize("command", [("list",), ("list", "web"), ("show", "web", "0"), ("metrics",), ("recover",)])
def test_a_command_that_reads_writes_nothing(run: Run, unwritable: str, command: tuple[str, ...]) -> None:
    assert run("--host", unwritable, *command).code == 0


@pytest.mark.parametrize("command", [("start", "web", "1", "preset:flat32"), ("stop", "web", "0", "--allow-last")])
def test_a_world_that_cannot_be_written_is_named_and_not_the_guard(
    run: Run, unwritable: str, command: tuple[str, ...]
) -> None:
    ran = run("--host", unwritable, *command)
    assert (1, f"xenvcpu: {unwritable[len('model:') :]}: Is a directory\n") == (ran.code, ran.err)


def test_a_list_ends_at_its_timeout_however_many_domains_there_are(run: Run, tmp_path: Path) -> None:
    many = [word for number in range(50) for word in ("--domain", f"d{number}:1")]
    run("model", "new", tmp_path / "many.json", *many)
    ran = run("--host", f"model:{tmp_path / 'many.json'}", "list", "--timeout", "0.01")
    assert (1, True) == (ran.code, "0.01 s were over while listing" in ran.err)


@pytest.mark.parametrize(("which", "named"), [("1-9", "4-9"), ("0-3,9", "9")])
@pytest.mark.parametrize("command", [("start", "preset:flat32"), ("stop",)], ids=lambda words: words[0])
def test_all_the_vcpus_that_a_domain_lacks_are_named(
    run: Run, world: str, command: tuple[str, ...], which: str, named: str
) -> None:
    ran = run("--host", world, command[0], "web", which, *command[1:])
    assert (1, f"xenvcpu: domain 1 has vcpus 0 to 3, not {named}\n") == (ran.code, ran.err)


def test_a_domain_that_has_crashed_is_said_to_have(run: Run) -> None:
    ran = run("--host", "model:crashed", "list")
    assert "xenvcpu: dead has crashed: `xl dmesg` may show why, and `xl destroy 1` removes it\n" == ran.err
    assert [("dead", "crash")] == [
        (each["name"], each["ended"]) for each in run("--host", "model:crashed", "list", "--json").json["domains"]
    ]


@pytest.mark.parametrize(("shutdown", "ended"), [("poweroff", "poweroff"), ("reboot", "reboot"), (None, None)])
def test_a_domain_that_has_shut_down_is_said_to_have(
    run: Run, world: str, shutdown: str | None, ended: str | None
) -> None:
    path = world[len("model:") :]
    host = worldfile.load(path)
    host.named("web").shutdown = None if shutdown is None else Shutdown[shutdown]
    worldfile.save(host, path)
    assert ended == run("--host", world, "list", "--json").json["domains"][0]["ended"]
    note = f"xenvcpu: web has ended ({ended}): none of its vcpus runs any more\n"
    assert (note if ended else "") == run("--host", world, "list").err


def test_the_states_that_list_shows_have_a_legend(run: Run) -> None:
    text = run("list", "--help").out
    assert all(f"`{state}`" in text for state in ("r--", "-b-", "--p", "---")) and "nanoseconds" in text


def test_start_brings_vcpus_up_at_their_own_state(run: Run, world: str) -> None:
    ran = run("--host", world, "start", "web", "1-2", "preset:flat32", *AT)
    assert (0, ["vcpu 1 of web: started, flat32 at 0x100000", "vcpu 2 of web: started, flat32 at 0x100000"]) == (
        ran.code, ran.out.splitlines()[:2]
    )
    assert [0, 1, 2] == online(run, world)
    shown = run("--host", world, "show", "web", "2", "--json").json
    assert ("0x100000", "0xb000", "cpu_record") == (shown["rip"], shown["rsp"], shown["format"])


def test_start_all_means_those_that_are_down(run: Run, world: str) -> None:
    assert [1, 2, 3] == run("--host", world, "start", "web", "all", "preset:flat32", *AT, "--json").json["started"]
    again = run("--host", world, "start", "web", "all", "preset:flat32", *AT)
    assert (0, True) == (again.code, "nothing to start" in again.out)


def test_what_show_prints_can_be_started(run: Run, world: str, tmp_path: Path) -> None:
    run("--host", world, "start", "web", "1", "preset:flat32", *AT)
    saved = tmp_path / "vcpu1.json"
    saved.write_text(run("--host", world, "show", "web", "1", "--json").out)
    assert 0 == run("--host", world, "start", "web", "3", saved).code
    assert [0, 1, 3] == online(run, world)


def test_show_prints_registers_and_segments(run: Run, world: str) -> None:
    text = run("--host", world, "show", "web", "0").out
    assert all(word in text for word in ("vcpu 0 of web (1), long64", "rflags", "gdtr", "msr_efer"))


def test_a_dry_run_touches_nothing(run: Run, world: str) -> None:
    ran = run("--host", world, "start", "web", "1", "preset:flat32", *AT, "--dry-run")
    assert "vcpu 1: accepted" in ran.out
    plan = run("--host", world, "start", "web", "1", "preset:flat32", *AT, "--dry-run", "--json").json
    assert ("domctl", "accepted") == (plan["interface"], plan["vcpus"][0]["verdict"])
    assert [0] == online(run, world)


def test_a_refused_context_exits_3_and_touches_nothing(run: Run, world: str) -> None:
    command = ("--host", world, "start", "web", "1", "preset:flat32", *AT, "--set", "cr4=0x8000000000")
    ran = run(*command[:-1], "cr4=0x80000000")
    assert (3, True, [0]) == (ran.code, "cr4 = 0x80000000" in ran.err, online(run, world))
    error = json.loads(run("--json", *command[:-1], "cr4=0x80000000").err)["error"]
    assert ("RefusedContextError", "cr4", 1, "rejected") == tuple(
        error[key] for key in ("type", "field", "vcpuid", "verdict")
    )


def test_where_its_rule_is_ignored_xen_is_the_judge_and_the_guest_is_put_back(run: Run, world: str) -> None:
    command = ("--host", world, "start", "web", "1", "preset:flat32", *AT, "--set", "cr4=0x80000000")
    ran = run(*command, "--ignore-rules", "cr4-bit")
    assert (4, True, True) == (ran.code, "EINVAL" in ran.err, "put back as it was found" in ran.err)
    assert [0] == online(run, world)


def test_stop_takes_vcpus_away(run: Run, world: str) -> None:
    run("--host", world, "start", "web", "1-2", "preset:flat32", *AT)
    ran = run("--host", world, "stop", "web", "2-3")
    assert "vcpu 2 of web: stopped\nvcpu 3 of web: was down\n" == ran.out
    assert [0, 1] == online(run, world)


def test_the_last_vcpu_is_not_stopped_unless_that_is_allowed(run: Run, world: str) -> None:
    assert 1 == run("--host", world, "stop", "web", "0").code
    assert [0] == run("--host", world, "stop", "web", "0", "--allow-last", "--json").json["stopped"]


def test_all_is_every_vcpu_but_the_boot_vcpu(run: Run, world: str) -> None:
    run("--host", world, "start", "web", "all", "preset:flat32", *AT)
    assert [1, 2, 3] == run("--host", world, "stop", "web", "all", "--json").json["stopped"]
    again = run("--host", world, "stop", "web", "all")
    assert (0, "no vcpu of web but the boot vcpu is up: nothing to stop\n") == (again.code, again.out)


def test_dom0_is_not_driven_by_the_word_self(run: Run, world: str) -> None:
    for command in (["stop", "self", "1"], ["list", "self"], ["up", "self", "1"]):
        ran = run("--host", world, *command)
        assert ran.code == 5 and "this is dom0" in ran.err


def test_a_start_that_finds_nothing_to_do_answers_json_of_the_same_shape(run: Run, world: str) -> None:
    line = ("--host", world, "start", "web", "all", "preset:flat32", *AT, "--json")
    first, again = run(*line).json, run(*line).json
    assert (first.keys(), [], [0, 1, 2, 3]) == (again.keys(), again["started"], again["kept"])


def test_stop_tells_as_json_which_vcpus_were_down(run: Run, world: str) -> None:
    run("--host", world, "start", "web", "1", "preset:flat32", *AT)
    told = run("--host", world, "stop", "web", "1-2", "--json").json
    assert ([1], [2]) == (told["stopped"], told["was_down"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["list", "nope"], 1, "nope"),
        (["show", "web", "3"], 1, "down"),
        (["show", "web", "9"], 1, "0 to 3"),
        (["show", "web", "0-1"], 2, "'0-1' is more than one vcpu"),
        (["show", "web", "all"], 2, "'all' is more than one vcpu"),
        (["show", "web", "first"], 2, "not a set of vcpus"),
        (["start", "web", "0", "preset:flat32"], 1, "stop it first"),
        (["start", "web", "9", "preset:flat32"], 1, "0 to 3"),
        (["start", "web", "x", "preset:flat32"], 2, "VCPUS"),
        (["start", "web", "1", "/nowhere.toml"], 1, "/nowhere.toml"),
        (["--host", "nonsense", "list"], 2, "model:NAME"),
        (["--host", "model:nonsense", "list"], 1, "nonsense"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(
    run: Run, world: str, arguments: list[str], code: int, words: str
) -> None:
    ran = run("--host", world, *arguments)
    assert (code, True, False) == (ran.code, words in ran.err, "Traceback" in ran.err)


def test_inside_a_guest_its_own_vcpus_are_driven(run: Run, world: str) -> None:
    inside = f"{world}@web"
    started = run("--host", inside, "start", "self", "1-2", "preset:flat32", *AT)
    assert ["vcpu 1 of self: started, flat32 at 0x100000", "vcpu 2 of self: started, flat32 at 0x100000"] == (
        started.out.splitlines()
    )
    assert [True, True, True, False] == [
        vcpu["online"] for vcpu in run("--host", inside, "list", "--json").json["domains"][0]["vcpus"]
    ]
    assert "vcpu 2 of self: stopped\n" == run("--host", inside, "stop", "self", "2").out
    again = run("--host", inside, "start", "self", "2", "preset:flat32", *AT)
    assert (4, True) == (again.code, "EEXIST" in again.err)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["start", "self", "1", "preset:flat32", "--set", "r8=1"], 3, "r8 = 0x1"),
        (["start", "self", "1", "preset:flat32", "--set", "cs_ar=0", "--ignore-rules", "all"], 4, "EINVAL"),
        (["start", "self", "1", "preset:flat32", "--dry-run"], 0, ""),
        (["show", "self", "0"], 5, "dom0"),
        (["stop", "self", "0"], 1, "--allow-last"),
    ],
)
def test_what_a_guest_cannot_do_is_said(run: Run, world: str, arguments: list[str], code: int, words: str) -> None:
    ran = run("--host", f"{world}@web", *arguments)
    assert (code, True) == (ran.code, words in ran.err)


def test_a_kernel_that_restricts_hypercalls_exits_5_and_says_how_to_allow_them(run: Run) -> None:
    ran = run("--host", "model:restricted@web", "start", "self", "1", "preset:flat32")
    assert (5, True, False) == (ran.code, "unrestricted=1" in ran.err, "[Errno" in ran.err)


def test_the_host_may_be_named_behind_the_command(run: Run, world: str) -> None:
    assert 0 == run("list", "--host", world).code


def test_a_digit_that_is_no_number_is_a_name(run: Run, world: str) -> None:
    ran = run("--host", world, "list", "\u00b2")
    assert (1, True) == (ran.code, "there is no domain" in ran.err)


def test_names_of_domains_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    run("model", "new", path, "--domain", "a\x1b[2Jb\u202e:1")
    ran = run("--host", f"model:{path}", "list")
    assert (False, False, True) == ("\x1b" in ran.out, "\u202e" in ran.out, r"a\x1b[2Jb\u202e" in ran.out)


def test_the_name_of_a_domain_cannot_add_a_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    run("model", "new", path, "--domain", "a\nb:2")
    host = f"model:{path}"
    start = run("--host", host, "start", "1", "1", "preset:flat32").out
    show = run("--host", host, "show", "1", "1").out
    stop = run("--host", host, "stop", "1", "1").out
    assert [r"vcpu 1 of a\nb: started, flat32 at 0x0", r"vcpu 1 of a\nb (1), flat32", r"vcpu 1 of a\nb: stopped"] == [
        text.split("\n", 1)[0] for text in (start, show, stop)
    ]


def test_what_went_on_is_counted(run: Run, world: str) -> None:
    assert "\nvcpu 0 went on" in run("--host", world, "start", "web", "1", "preset:flat32").out
    assert "\nvcpus 0-1 went on" in run("--host", world, "start", "web", "2", "preset:flat32").out


def test_doctor_says_what_is_there(run: Run, world: str) -> None:
    checks = {check["name"]: check["status"] for check in run("--host", world, "doctor", "--json").json["checks"]}
    assert ("ok", "ok") == (checks["libxenctrl"], checks["xen"])


def test_a_world_is_made_shown_and_never_overwritten(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    assert 0 == run("model", "new", path, "--domain", "a:2", "--domain", "b:3", "--xen", "4.20").code
    shown = run("model", "show", path, "--json").json
    assert ("4.20", ["a", "b"]) == (shown["xen"], [d["name"] for d in shown["domains"] if d["domid"]])
    before = path.read_bytes()
    assert 0 != run("model", "new", path).code
    assert 0 != run("model", "new", path, "--world", "hvm").code
    assert before == path.read_bytes()
    assert 2 == run("model", "new", tmp_path / "x", "--domain", "a").code


def test_built_in_worlds_are_listed_and_can_be_kept(run: Run, tmp_path: Path) -> None:
    names = [world["name"] for world in run("model", "worlds", "--json").json["worlds"]]
    path = tmp_path / "world.json"
    for name in names:
        path.unlink(missing_ok=True)
        assert (0, 0) == (run("model", "show", name).code, run("model", "new", path, "--world", name).code)


def test_show_policy_prints_what_the_domain_may_set(run: Run, world: str) -> None:
    assert run("--host", world, "show", "web", "--policy").out == (
        "what the vcpus of web (1) may set\n\n"
        "cr4          0x3707ff  VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT FSGSBASE PCIDE OSXSAVE SMEP SMAP\n"
        "efer         0xd01  SCE LME LMA NXE\n"
        "maxphysaddr  46\npaging       hap\nvendor       intel\n"
    )


def test_show_policy_as_json_has_masks_names_and_what_is_unknown(run: Run, tmp_path: Path) -> None:
    shown = run("--host", "model:shadow", "show", "old", "--policy", "--json").json
    assert (shown["efer"], shown["paging"], shown["vendor"]) == (
        {"mask": "0xd01", "bits": ["SCE", "LME", "LMA", "NXE"]}, "shadow", "amd"
    )
    older = str(tmp_path / "older.json")
    run("model", "new", older, "--domain", "web:2", "--xen", "4.7")
    shown = run("--host", f"model:{older}", "show", "web", "--policy", "--json").json
    assert [shown[key] for key in ("cr4", "efer", "maxphysaddr", "paging")] == [None] * 4
    assert "cr4          unknown" in run("--host", f"model:{older}", "show", "web", "--policy").out


@pytest.mark.parametrize("words", [("show", "web"), ("show", "web", "1", "--policy")])
def test_show_takes_either_a_vcpu_or_policy(run: Run, world: str, words: tuple[str, ...]) -> None:
    ran = run("--host", world, *words)
    assert ran.code == 2 and "either a VCPU or --policy" in ran.err


def test_inside_a_guest_the_policy_is_not_to_be_read(run: Run) -> None:
    ran = run("--host", "model:pvh@web", "show", "self", "--policy")
    assert ran.code == 5 and "from dom0 only" in ran.err
