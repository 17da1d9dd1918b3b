# SPDX-License-Identifier: MIT
"""`xenvcpu xl create`, with an `xl` that drives a world file: every program is a process of its own."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

import pytest

pytest.importorskip("click")

from xenvcpu.cli.exits import Exit
from xenvcpu.errors import HostError
from xenvcpu.model import worldfile
from xenvcpu.model.domain import Domain
from xenvcpu.toolstacks.xl import Xl, XlError, XlOptionError, is_paused

HERE = Path(__file__).parent
CONTEXT = 'preset = "flat32"\neip = 0x100000\nesp = "0x80000 + 0x1000 * vcpuid"\n'
REFUSED = 'preset = "long64"\nrip = 0x100000\ncr3 = 0x1000\ncr4 = 0\n'
NOT_CARRIED = 'preset = "flat32"\neip = 0x100000\n[msrs]\n0x10 = 1\n'


class Stage:
    """A host with an `xl`, a configuration and a context file."""

    def __init__(self, folder: Path, run: Any) -> None:
        self._folder, self._run = folder, run
        self.world = folder / "world.json"
        self.config = folder / "new guest=1.cfg"
        self.context = folder / "ap.toml"
        worldfile.new(str(self.world))
        self.config.write_text('name = "new"\ntype = "pvh"\nvcpus = 4\n')
        self.context.write_text(CONTEXT)
        program = folder / "bin" / "xl"
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\n" + (HERE / "standin_xl.py").read_text())
        program.chmod(0o755)
        self.env: Dict[str, str] = {
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "XL_WORLD": str(self.world),
            "XL_LOG": str(folder / "xl.log"),
        }

    def command(self, *arguments: object) -> List[object]:
        return ["--host", f"model:{self.world}", "xl", "create", self.config, self.context, *arguments]

    def create(self, *arguments: object) -> Any:
        return self._run(*self.command(*arguments), env=self.env)

    @property
    def domain(self) -> Optional[Domain]:
        """The new domain, if it is there."""
        found = [each for each in worldfile.load(str(self.world)).domains.values() if each.name == "new"]
        return found[0] if found else None

    @property
    def online(self) -> List[int]:
        assert self.domain is not None
        return [vcpu.vcpuid for vcpu in self.domain.vcpus if not vcpu.is_down]

    @property
    def calls(self) -> List[List[str]]:
        """What xl was asked, but for questions."""
        lines = (self._folder / "xl.log").read_text().splitlines()
        calls = [json.loads(line) for line in lines]
        return [call for call in calls if call[0] != "domid" and "-n" not in call]


@pytest.fixture
def stage(tmp_path: Path, run: Any) -> Stage:
    return Stage(tmp_path, run)


def test_a_domain_is_created_paused_then_loaded_then_runs(stage: Stage) -> None:
    done = stage.create()
    assert (done.code, done.out) == (0, "domain new (domid 2): vcpus 1-3 started\n"), done.err
    assert done.err == f"Parsing config from {stage.config}\n"
    assert [call[:2] for call in stage.calls] == [["create", "-p"], ["unpause", "2"]]
    assert stage.domain is not None and stage.domain.pause_count == 0
    assert stage.online == [0, 1, 2, 3]
    assert stage.domain.vcpus[2].image["rsp"] == 0x82000


def test_options_go_to_xl_as_they_are_without_a_shell(stage: Stage) -> None:
    hostile = 'extra="$(touch /tmp/x) `id`"'
    assert stage.create("--", "-q", hostile, "maxvcpus=6").code == 0
    assert stage.calls[0] == ["create", "-p", "-f", str(stage.config), "-q", hostile, "maxvcpus=6"]
    assert stage.domain is not None and len(stage.domain.vcpus) == 6


def test_the_name_is_the_one_that_xl_reports_and_not_the_one_in_the_file(stage: Stage) -> None:
    done = stage.create("--json", "--", 'name="other"')
    assert done.json["name"] == "other" and done.json["started"] == [1, 2, 3]


def test_a_name_is_found_in_the_old_format_too(stage: Stage) -> None:
    stage.env["XL_FORMAT"] = "sxp"
    assert stage.create().code == 0
    assert stage.online == [0, 1, 2, 3]


def test_vcpus_chooses_some(stage: Stage) -> None:
    assert stage.create("--vcpus", "1,3").code == 0
    assert stage.online == [0, 1, 3]


def test_a_declaration_says_which_vcpus(stage: Stage) -> None:
    stage.context.write_text('vcpus = "2"\n[context]\npreset = "flat32"\neip = 0x100000\n')
    assert stage.create().code == 0
    assert stage.online == [0, 2]


def test_set_gives_a_key_of_the_context_anew(stage: Stage) -> None:
    assert stage.create("--set", "eip=0x200000").code == 0
    assert stage.domain is not None and stage.domain.vcpus[1].image["rip"] == 0x200000


def test_a_domain_of_one_vcpu_is_created_as_it_is(stage: Stage) -> None:
    stage.config.write_text('name = "new"\ntype = "pvh"\n')
    done = stage.create()
    assert (done.code, done.out) == (0, "domain new (domid 2): it has one vcpu\n")
    assert stage.domain is not None and stage.domain.pause_count == 0


def test_p_leaves_the_domain_paused_as_it_does_for_xl(stage: Stage) -> None:
    done = stage.create("--", "-qp")
    assert done.out.endswith("started, left paused\n")
    assert stage.domain is not None and stage.domain.pause_count == 1
    assert stage.online == [0, 1, 2, 3]


class TestRefusals:
    """What is refused before a domain is created."""

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ('name = "new"\nvcpus = 4\n', "a PV domain"),
            ('name = "new"\ntype = "hvm"\nvcpus = 4\n', "begins with hvmloader"),
            ('name = "web"\ntype = "pvh"\nvcpus = 4\n', "a domain web exists"),
            ('name = "new"\ntype = "pvh"\nvcpus = 4\nnonsense\n', "config parsing error near `nonsense'"),
        ],
    )
    @pytest.mark.parametrize("how", ["json", "sxp"])
    def test_a_configuration_that_leads_nowhere(self, stage: Stage, config: str, said: str, how: str) -> None:
        stage.env["XL_FORMAT"] = how
        stage.config.write_text(config)
        done = stage.create()
        assert done.code == 1 and said in done.err
        assert stage.calls == [] and done.out == ""

    def test_a_context_that_a_rule_refuses(self, stage: Stage) -> None:
        stage.context.write_text(REFUSED)
        done = stage.create()
        assert done.code == 3 and "vcpu 1" in done.err
        assert stage.calls == []

    def test_a_vcpu_that_the_domain_will_not_have(self, stage: Stage) -> None:
        done = stage.create("--vcpus", "7")
        assert done.code == 1 and "vcpus 0 to 3, not 7" in done.err
        assert stage.calls == []

    def test_the_boot_vcpu_which_xl_starts(self, stage: Stage) -> None:
        done = stage.create("--vcpus", "0-2")
        assert done.code == 1 and "vcpu 0 is the boot vcpu" in done.err
        assert not (stage.world.parent / "xl.log").exists()

    @pytest.mark.parametrize("option", ["-F", "-qF", "-c", "-n", "--dryrun", "-fother.cfg", "--def=other.cfg", "other"])
    def test_an_option_with_which_it_could_not_work(self, stage: Stage, option: str) -> None:
        done = stage.create("--", option)
        assert done.code == 1 and "xl create" in done.err
        assert not (stage.world.parent / "xl.log").exists()

    def test_a_host_without_xl(self, stage: Stage) -> None:
        stage.env["PATH"] = str(stage.world.parent)
        done = stage.create()
        assert done.code == 5 and "xl: No such file or directory" in done.err

    def test_a_host_seen_from_inside_a_guest(self, stage: Stage, run: Any) -> None:
        done = run("--host", f"model:{stage.world}@web", "xl", "create", stage.config, stage.context, env=stage.env)
        assert done.code == 5 and "created in dom0" in done.err

    def test_an_hvm_guest_without_firmware_is_none_of_them(self, stage: Stage) -> None:
        """So were PVH guests made before 4.10."""
        stage.config.write_text('name = "new"\ntype = "hvm"\nvcpus = 2\ndevice_model_version = "none"\n')
        assert stage.create().code == 0


class TestFailures:
    """What becomes of a domain that was created."""

    def test_it_is_destroyed_when_its_vcpus_cannot_be_loaded(self, stage: Stage) -> None:
        stage.context.write_text(NOT_CARRIED)
        done = stage.create("--ignore-rules", "msr-not-loadable")
        assert (done.code, done.out) == (4, "")
        assert "the new domain new (domid 2) was destroyed" in done.err
        assert stage.domain is None
        assert [call[0] for call in stage.calls] == ["create", "destroy"]

    def test_it_is_left_paused_where_that_is_asked(self, stage: Stage) -> None:
        stage.context.write_text(NOT_CARRIED)
        done = stage.create("--ignore-rules", "all", "--on-failure", "pause")
        assert done.code == 4
        assert "left paused: `xl unpause 2` lets it run, `xl destroy 2` removes it" in done.err
        assert stage.domain is not None and stage.domain.pause_count == 1 and stage.online == [0]

    def test_it_is_destroyed_when_it_cannot_be_unpaused(self, stage: Stage) -> None:
        stage.env["XL_FAIL"] = "unpause"
        done = stage.create()
        assert done.code == 1 and "unpause failed on purpose" in done.err
        assert stage.domain is None

    def test_a_domain_that_cannot_be_destroyed_is_told_as_such(self, stage: Stage) -> None:
        stage.env["XL_FAIL"] = "unpause destroy"
        done = stage.create("--json")
        assert done.out == ""
        assert "could NOT be destroyed" in json.loads(done.err)["error"]["left"][0]

    def test_what_xl_says_when_it_creates_nothing_is_shown(self, stage: Stage) -> None:
        stage.env["XL_FAIL"] = "create"
        done = stage.create()
        assert done.code == 1
        assert done.err == "xenvcpu: xl create failed (exit code 1)\n  libxl: error: create failed on purpose\n"
        assert [call[0] for call in stage.calls] == ["create"]

    @pytest.mark.parametrize("presses", [1, 3])
    def test_an_interrupt_lets_xl_finish_and_destroys_the_domain(
        self, stage: Stage, environment: Any, presses: int
    ) -> None:
        stage.env["XL_SLOW"] = "create"
        command = [sys.executable, "-m", "xenvcpu", *map(str, stage.command())]
        process = subprocess.Popen(command, env=environment(stage.env), stderr=subprocess.PIPE)
        log = stage.world.parent / "xl.log"
        while not (log.exists() and '"-p"' in log.read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
            time.sleep(0.4)  # so long Python itself waits for a child after the first
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert stage.domain is None
        assert [call[0] for call in stage.calls] == ["create", "destroy"]


class TestXlManner:
    """`--xl`: what xl prints and no more, and 0 or 1."""

    def test_success(self, stage: Stage) -> None:
        done = stage.create("--xl")
        assert done == (0, "", f"Parsing config from {stage.config}\n")

    @pytest.mark.parametrize(("options", "code"), [(("--xl",), Exit.DONE), ((), Exit.UNREPORTED)])
    def test_a_domain_that_runs_is_no_failure_where_the_words_find_no_room(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int
    ) -> None:
        def full(text: str, *, err: bool = False) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("xenvcpu.cli.commands.xl.say", full)
        done = stage.create(*options)
        assert done.code == code and stage.online == [0, 1, 2, 3]
        assert code == Exit.DONE or "created domain new (domid 2); the report could not be written" in done.err

    @pytest.mark.parametrize(("context", "option"), [
        (REFUSED, "--xl"), (NOT_CARRIED, "--ignore-rules=all"), (CONTEXT, "--bad"), (CONTEXT, "--force"),
    ])
    def test_every_failure_is_1(self, stage: Stage, context: str, option: str) -> None:
        stage.context.write_text(context)
        done = stage.create("--xl", option)
        assert (done.code, done.out) == (1, "") and done.err


class TestDryRun:
    """`--dry-run` creates nothing."""

    def test_it_says_what_would_be_done(self, stage: Stage) -> None:
        done = stage.create("--dry-run", "--", "memory=64")
        assert done.out.splitlines()[:4] == [
            f"1. xl create -p -f '{stage.config}' memory=64", "2. load vcpus 1-3, all in one call; on failure: destroy",
            "3. xl unpause new", "vcpu 1: accepted, flat32 at 0x100000",
        ]
        assert stage.calls == [] and stage.domain is None

    def test_as_json_too(self, stage: Stage) -> None:
        data = stage.create("--dry-run", "--json").json
        assert (data["name"], data["type"], len(data["steps"]), len(data["vcpus"])) == ("new", "pvh", 3, 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), False), (("-p",), True), (("-qp",), True), (("name=-p",), False), (("-f-p",), None), (("-Z", "-p"), True)],
)
def test_whether_a_domain_stays_paused_is_read_as_xl_reads_it(options: Any, expected: Optional[bool]) -> None:
    if expected is None:
        with pytest.raises(XlOptionError):
            is_paused(options)
    else:
        assert is_paused(options) is expected


def test_a_program_that_answers_nonsense_is_no_xl(tmp_path: Path) -> None:
    program = tmp_path / "xl"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    with pytest.raises(XlError, match="hello"):
        Xl(str(program)).domid("web")
    (tmp_path / "x.cfg").write_text("")
    with pytest.raises(XlError, match="tells no name"):
        Xl(str(program)).config(str(tmp_path / "x.cfg"))


def test_a_configuration_that_can_be_read_once_only_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(XlError, match="not a file"):
        Xl().config(str(tmp_path / "pipe"))


def test_no_xl_is_a_host_error() -> None:
    with pytest.raises(HostError, match="No such file"):
        Xl("/nonexistent/xl").domid("web")


class TestVcpusThatAreConfiguredOffline:
    """`vcpus=2, maxvcpus=4`: 2 and 3 are there, and not for the guest to use until they are plugged in."""

    @pytest.fixture(autouse=True)
    def configured(self, stage: Stage) -> None:
        stage.config.write_text('name = "new"\ntype = "pvh"\nvcpus = 2\nmaxvcpus = 4\n')

    def test_they_are_left_so_and_that_is_said(self, stage: Stage) -> None:
        done = stage.create()
        assert stage.online == [0, 1] and "vcpu 1 started" in done.out
        assert "vcpus 2-3: offline by their toolstack's word" in done.err and "left so" in done.err

    def test_json_names_them(self, stage: Stage) -> None:
        done = stage.create("--json")
        assert (done.json["started"], done.json["offline"]) == ([1], [2, 3])

    def test_a_dry_run_judges_the_others(self, stage: Stage) -> None:
        done = stage.create("--dry-run")
        assert "load vcpu 1, " in done.out and "left so" in done.err

    def test_by_name_they_are_started_and_the_contradiction_is_said(self, stage: Stage) -> None:
        done = stage.create("--vcpus", "1-3")
        assert stage.online == [0, 1, 2, 3] and "vcpus 2-3: offline" in done.err and "does not use them" in done.err

    def test_start_all_leaves_them_too(self, stage: Stage, run: Any) -> None:
        stage.create("--vcpus", "1")
        run("--host", f"model:{stage.world}", "stop", "new", "1")
        done = run("--host", f"model:{stage.world}", "start", "new", "all", stage.context)
        assert stage.online == [0, 1] and "vcpus 2-3: offline" in done.err
        again = run("--host", f"model:{stage.world}", "start", "new", "all", stage.context)
        assert "is up, or left offline: nothing to start" in again.out

    def test_start_by_name_says_that_xenstore_contradicts_it(self, stage: Stage, run: Any) -> None:
        stage.create()
        done = run("--host", f"model:{stage.world}", "start", "new", "3", stage.context, "--json")
        assert done.json["started"] == [3] and "vcpu 3: offline" in done.json["notes"][0]


def test_vcpus_that_are_all_online_give_no_note(stage: Stage) -> None:
    assert "offline" not in stage.create().err


def test_what_the_configuration_takes_from_the_domain_is_refused_before_it_exists(stage: Stage) -> None:
    stage.context.write_text(CONTEXT + "cr4 = 0x400000\n")
    stage.config.write_text(stage.config.read_text() + 'cpuid = "host,pku=0"\n')
    done = stage.create("--dry-run")
    assert done.code == 3 and "PKE" in done.err


def test_what_it_leaves_alone_is_unknown_until_the_domain_is_there(stage: Stage) -> None:
    stage.context.write_text(CONTEXT + "cr4 = 0x400000\n")
    assert stage.create("--dry-run", "--json").json["vcpus"][0]["depends_on"] == ["cr4_valid"]
    done = stage.create()
    assert done.code == 3 and "PKE" in done.err and stage.domain is None


def test_a_domain_with_shadow_paging_is_judged_as_one(stage: Stage) -> None:
    """Only where paging is by hardware does VT-x, up to Xen 4.14, load the four entries that must be aligned."""
    stage.world.unlink()
    worldfile.new(str(stage.world), "4.14")
    stage.context.write_text('preset = "pae32"\neip = 0x100000\nesp = 0x8000\ncr3 = 0x1010\n')
    by_hap = stage.create("--dry-run")
    stage.config.write_text(stage.config.read_text() + "hap = 0\n")
    assert by_hap.code == 3 and "pae-cr3-unaligned" in by_hap.err
    assert stage.create("--dry-run").code == 0
