# SPDX-License-Identifier: MIT
"""The host plugin, called as XAPI calls it: a program of its own, XML in, XML out."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import xmlrpc.client
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest

pytest.importorskip("click")

from hypothesis import given, settings
from hypothesis import strategies as st

from integration.evidence.xapi import SESSION, ServerError, call_plugin, method_call
from xenvcpu.model import worldfile
from xenvcpu.toolstacks.xapi import convention, plugin
from xenvcpu.toolstacks.xapi.convention import Arguments, Failure, answer

CONTEXT = 'preset = "flat32"\neip = 0x100000\nesp = "0x80000 + 0x1000 * vcpuid"\n'
REFUSED = 'preset = "long64"\nrip = 0x100000\ncr3 = 0x1000\ncr4 = 0\n'

Call = Callable[..., Any]


class Stage:
    """A host on which the plugin is installed."""

    def __init__(self, folder: Path, run: Any) -> None:
        self.world = folder / "world.json"
        self.folder = folder / "plugins dir"
        self.folder.mkdir()
        worldfile.new(str(self.world), "4.17")
        self.run = run
        self.installed = self.install()
        self.uuid = str(worldfile.load(str(self.world)).named("web").handle)

    def install(self) -> Any:
        return self.run("--host", f"model:{self.world}", "xapi", "install", "--folder", self.folder)

    def call(self, function: str, **arguments: str) -> Any:
        """Call the plugin, with `vm_uuid` for `vm-uuid`; what comes back is JSON."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        return json.loads(call_plugin(self.folder / "xenvcpu", function, named))

    def failure(self, function: str, **arguments: str) -> Tuple[str, ...]:
        with pytest.raises(ServerError) as caught:
            self.call(function, **arguments)
        return caught.value.description

    @property
    def online(self) -> List[int]:
        domain = worldfile.load(str(self.world)).named("web")
        return [vcpu.vcpuid for vcpu in domain.vcpus if not vcpu.is_down]


@pytest.fixture
def stage(tmp_path: Path, run: Any) -> Stage:
    return Stage(tmp_path, run)


class TestInstall:
    """`xenvcpu xapi install`."""

    def test_the_plugin_is_one_program_that_xapi_can_run(self, stage: Stage) -> None:
        assert stage.installed.code == 0 and "installed" in stage.installed.out
        assert os.listdir(stage.folder) == ["xenvcpu"]
        assert stat.S_IMODE((stage.folder / "xenvcpu").stat().st_mode) == 0o755

    def test_a_second_time_nothing_changes(self, stage: Stage) -> None:
        before = (stage.folder / "xenvcpu").stat().st_ino
        again = stage.run("--json", "--host", f"model:{stage.world}", "xapi", "install", "--folder", stage.folder)
        assert again.json["changed"] is False
        assert (stage.folder / "xenvcpu").stat().st_ino == before

    def test_a_world_file_is_found_from_any_folder(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(stage.world.parent)
        assert stage.run("--host", "model:world.json", "xapi", "install", "--folder", stage.folder).code == 0
        assert stage.call("list")["domains"][0]["uuid"] == stage.uuid

    def test_a_plugin_of_somebody_else_stays(self, stage: Stage) -> None:
        (stage.folder / "xenvcpu").write_text("#!/bin/sh\n")
        done = stage.install()
        assert done.code == 5 and "not xenvcpu's" in done.err

    def test_a_host_without_xapi_is_told_as_such(self, run: Any, tmp_path: Path) -> None:
        done = run("xapi", "install", "--folder", tmp_path / "none")
        assert done.code == 5 and "no such folder" in done.err

    def test_what_was_installed_is_removed_and_nothing_else(self, stage: Stage) -> None:
        line = ("xapi", "remove", "--folder", stage.folder)
        assert "removed" in stage.run(*line).out and os.listdir(stage.folder) == []
        assert "was not there" in stage.run(*line).out
        (stage.folder / "xenvcpu").write_text("#!/bin/sh\n")
        assert stage.run(*line).code == 5 and os.listdir(stage.folder) == ["xenvcpu"]

    def test_it_works_on_dom0_where_no_host_is_given(self, run: Any, tmp_path: Path) -> None:
        assert run("xapi", "install", "--folder", tmp_path).code == 0
        assert "main('\"'\"'dom0'\"'\"'," in (tmp_path / "xenvcpu").read_text()


class TestFunctions:
    """What the functions do, over the real calling convention."""

    def test_list_tells_the_vcpus_of_every_domain(self, stage: Stage) -> None:
        domains = stage.call("list")["domains"]
        assert [(domain["uuid"], len(domain["vcpus"])) for domain in domains] == [(stage.uuid, 4)]

    def test_start_show_and_stop(self, stage: Stage) -> None:
        assert stage.call("start", vm_uuid=stage.uuid, vcpus="1-2", context=CONTEXT)["started"] == [1, 2]
        assert stage.online == [0, 1, 2]
        assert stage.call("show", vm_uuid=stage.uuid, vcpu="2")["rsp"] == "0x82000"
        assert stage.call("stop", vm_uuid=stage.uuid, vcpus="1,2")["stopped"] == [1, 2]
        assert stage.online == [0]

    def test_start_means_every_vcpu_that_is_down(self, stage: Stage) -> None:
        assert stage.call("start", vm_uuid=stage.uuid, context=CONTEXT, allow_unbuilt="false")["started"] == [1, 2, 3]

    def test_a_dry_run_touches_nothing(self, stage: Stage) -> None:
        assert len(stage.call("start", vm_uuid=stage.uuid, context=CONTEXT, dry_run="true")["steps"]) == 6
        assert stage.online == [0]

    def test_check_judges_for_the_xen_of_the_host(self, stage: Stage) -> None:
        said = stage.call("check", context=CONTEXT)
        assert (said["xen"], said["interface"], said["verdict"]) == ("4.17", "domctl", "accepted")

    def test_a_refusal_is_an_answer_to_check_and_a_failure_of_start(self, stage: Stage) -> None:
        assert stage.call("check", context=REFUSED, xen="4.20", vcpu="2")["verdict"] != "accepted"
        code, message, details = stage.failure("start", vm_uuid=stage.uuid, context=REFUSED)
        assert code == "XENVCPU_CONTEXT_REFUSED" and message.startswith("vcpu 1: ")
        assert json.loads(details)["rule"]

    @pytest.mark.parametrize(
        ("function", "arguments", "code"),
        [
            ("show", {"vcpu": "3"}, "XENVCPU_FAILED"),
            ("stop", {"vcpus": "0"}, "XENVCPU_FAILED"),
            (
                "start", {"context": CONTEXT + "[msrs]\n0x10 = 1\n", "ignore-rules": "msr-not-loadable"},
                "XENVCPU_REFUSED_BY_XEN",
            ),
            ("start", {"context": "nonsense"}, "XENVCPU_FAILED"),
        ],
    )
    def test_a_failure_has_a_code_a_message_and_all_there_is_to_it(
        self, stage: Stage, function: str, arguments: Dict[str, str], code: str
    ) -> None:
        found, message, details = stage.failure(function, vm_uuid=stage.uuid, **arguments)
        assert found == code and message == json.loads(details)["message"]
        assert stage.online == [0]

    def test_a_vm_that_does_not_run_here_is_a_failure(self, stage: Stage) -> None:
        code, message, _ = stage.failure("list", vm_uuid="11111111-2222-3333-4444-555555555555")
        assert code == "XENVCPU_FAILED" and "no domain" in message

    def test_a_host_that_cannot_is_told_as_such(self, stage: Stage) -> None:
        stage.world.unlink()
        code, *_ = stage.failure("list")
        assert code.startswith("XENVCPU_")

    def test_a_name_that_xml_cannot_carry_comes_through(self, stage: Stage) -> None:
        host = worldfile.load(str(stage.world))
        host.named("web").name = "w\x1b\x00<&>]]>\ud7ff"
        worldfile.save(host, str(stage.world))
        assert stage.call("list")["domains"][0]["name"] == "w\x1b\x00<&>]]>\ud7ff"


class TestArguments:
    """Nothing but what the tables name gets through."""

    @pytest.mark.parametrize(
        ("function", "arguments", "wrong"),
        [
            ("list", {"vm-uuid": "web"}, "vm-uuid"),
            ("list", {"vm-uuid": "--help"}, "vm-uuid"),
            ("list", {"vm-uuid": "{11111111-2222-3333-4444-555555555555}"}, "vm-uuid"),
            ("list", {"host": "x"}, "host"),
            ("list", {"timeout": "nan"}, "timeout"),
            ("list", {"timeout": "0"}, "timeout"),
            ("show", {"vm-uuid": "", "vcpu": "1"}, "vm-uuid"),
            ("show", {"vcpu": "1"}, "vm-uuid"),
            ("show", {"vcpu": "-1"}, "vcpu"),
            ("show", {"vcpu": "8192"}, "vcpu"),
            ("show", {"vcpu": "9" * 5000}, "vcpu"),
            ("show", {"vcpu": "٣"}, "vcpu"),
            ("start", {"vcpus": "1", "context": ""}, "context"),
            ("start", {"vcpus": "1", "context": "x" * 65537}, "context"),
            ("start", {"vcpus": "3-1", "context": CONTEXT}, "vcpus"),
            ("start", {"vcpus": "--force", "context": CONTEXT}, "vcpus"),
            ("start", {"context": CONTEXT, "allow-unbuilt": "yes"}, "allow-unbuilt"),
            ("start", {"context": CONTEXT, "force": "true"}, "force"),
            ("start", {"context": CONTEXT, "ignore-rules": "nonsense"}, "ignore-rules"),
            ("start", {"context": CONTEXT, "set": "eip=1"}, "set"),
            ("stop", {}, "vm-uuid"),
            ("check", {"context": CONTEXT, "xen": "all"}, "xen"),
        ],
    )
    def test_an_argument_that_is_wrong_is_named(
        self, function: str, arguments: Dict[str, str], wrong: str
    ) -> None:
        uuid = {} if wrong == "vm-uuid" or function in ("list", "check") else {"vm-uuid": SESSION[-36:]}
        with pytest.raises(Failure) as caught:
            plugin.functions("model:/nonexistent")[function]({**uuid, **arguments})
        assert caught.value.description[:2] == ("XENVCPU_INVALID_ARGUMENT", wrong)

    def test_what_an_api_user_gives_names_no_file(self) -> None:
        """He has no shell on the host, and the plugin runs as root."""
        for function in plugin.FUNCTIONS.values():
            line = function.command_line({name: name for name in (*function.words, *function.options)})
            assert "context" not in line and not any("/" in word for word in line)

    def test_only_five_functions_can_be_called(self) -> None:
        assert sorted(plugin.functions("dom0")) == ["check", "list", "show", "start", "stop"]


def echo(arguments: Arguments) -> str:
    if "fail" in arguments:
        raise Failure("CODE", "a\x00b", "ü")
    if "break" in arguments:
        raise RuntimeError("broken\x1b")
    return json.dumps(arguments)


def replied(text: str) -> Dict[str, Any]:
    (members,), _ = xmlrpc.client.loads(answer({"echo": echo}, text))
    return members  # type: ignore[no-any-return]


def called(function: str, *parameters: Any) -> str:
    return xmlrpc.client.dumps(parameters, function)


class TestConvention:
    """The replies, in the shapes that XAPI reads."""

    @pytest.mark.parametrize("write", [method_call, lambda name, arguments: called(name, SESSION, arguments)])
    def test_a_text_may_stand_with_or_without_an_element(self, write: Any) -> None:
        arguments = {"a": "<&>", "empty": "", "spaces": "  x \n"}
        assert replied(write("echo", arguments)) == {"Status": "Success", "Value": json.dumps(arguments)}

    @pytest.mark.parametrize(
        ("text", "description"),
        [
            (called("echo", SESSION, {"fail": ""}), ["CODE", "a\\u0000b", "ü"]),
            (
                called("echo", SESSION, {"break": ""}),
                ["XENAPI_PLUGIN_FAILURE", "echo", "RuntimeError", "broken\\u001b"],
            ),
            (called("other", SESSION, {}), ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "other"]),
        ],
    )
    def test_a_failure_is_a_code_and_texts(self, text: str, description: List[str]) -> None:
        assert replied(text) == {"Status": "Failure", "ErrorDescription": description}

    @pytest.mark.parametrize(
        "text",
        [
            "", "hello", "<x/>", "<methodCall/>", called("echo"), called("echo", SESSION), called("echo", SESSION, "x"),
            called("echo", SESSION, {"a": 1}), called("echo", SESSION, {}, {}), called("echo", SESSION, {"a": {}}),
            xmlrpc.client.dumps((SESSION, {}), methodresponse=None), xmlrpc.client.dumps(xmlrpc.client.Fault(1, "x")),
        ],
    )
    def test_what_is_no_call_is_a_failure_too(self, text: str) -> None:
        assert replied(text)["ErrorDescription"][0] == "XENAPI_PLUGIN_FAILURE"

    @settings(max_examples=50)
    @given(st.text(max_size=200))
    def test_no_text_makes_a_reply_that_xapi_cannot_read(self, text: str) -> None:
        shown = convention.answer({"echo": lambda arguments: text}, called("echo", SESSION, {}))
        assert xmlrpc.client.loads(shown)[0][0]["Status"] == "Success"

    def test_by_hand_it_says_how_it_is_called(self, stage: Stage) -> None:
        done = subprocess.run([str(stage.folder / "xenvcpu")], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "xe host-call-plugin" in done.stderr
