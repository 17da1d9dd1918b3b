# SPDX-License-Identifier: MIT
"""The hook, as libvirt runs it: a process, with the domain's XML on its stdin."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest
from tests.toolstacks.conftest import Run
from tests.toolstacks.virt import CONTEXT, OURS, domain_xml, element, handle, online

from xenvcpu.deadline import TIMEOUT
from xenvcpu.errors import HostError
from xenvcpu.toolstacks import ownfile
from xenvcpu.toolstacks.libvirt import hook, install
from xenvcpu.toolstacks.libvirt.begin import HOOK_PATIENCE, WATCH_PATIENCE
from xenvcpu.toolstacks.libvirt.log import Log
from xenvcpu.toolstacks.libvirt.namespace import MAX_SIZE

Hook = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def call(tmp_path: Path, world: str) -> Hook:
    """Install the hook and run it: `call(xml, "started", "begin")`."""

    def run_it(
        xml: str, operation: str = "started", sub: str = "begin", strict: bool = False, host: str = world,
        script: str = "",
    ) -> subprocess.CompletedProcess[str]:
        path = tmp_path / f"hook-{strict}"
        ownfile.put(path, script or install.hook(host, strict=strict), 0o755)
        return subprocess.run(
            [str(path), "web", operation, sub, "-"], input=xml, capture_output=True, text=True, timeout=60,
            env={"PATH": "/usr/bin:/bin"}, cwd="/", check=False,
        )

    return run_it


@pytest.fixture
def declared(world: str) -> str:
    """The XML of `web`, which declares its vcpus 1 and 2."""
    return domain_xml(handle(world), element(attributes='vcpus="1-2"'))


def test_it_starts_the_declared_vcpus_of_a_domain_that_has_started(call: Hook, world: str, declared: str) -> None:
    done = call(declared)
    assert (done.returncode, done.stdout, online(world)) == (0, "", [0, 1, 2])
    assert "web" in done.stderr and "started vcpus 1-2" in done.stderr


def test_it_is_as_patient_as_a_start_by_hand_and_gives_up_before_it_is_killed() -> None:
    """On a busy host ten seconds were over before the guard had started (seen on Xen 4.17)."""
    assert TIMEOUT <= HOOK_PATIENCE <= hook.LIMIT / 2


def test_the_watcher_gives_up_before_libvirt_takes_it_for_dead() -> None:
    interval, count = 5, 5  # keepalive_interval and keepalive_count of libvirtd.conf, as they are by default
    assert WATCH_PATIENCE < interval * (count + 1)


def test_a_domain_whose_vcpus_have_begun_is_left_alone(call: Hook, world: str, declared: str) -> None:
    call(domain_xml(handle(world), element(attributes='vcpus="2"')))
    done = call(declared)
    assert (done.returncode, online(world)) == (0, [0, 2])
    assert "left alone" in done.stderr


def test_a_domain_that_declares_nothing_is_passed_in_silence(call: Hook, world: str) -> None:
    done = call(domain_xml(handle(world)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("operation", "sub"), [("prepare", "begin"), ("start", "begin"), ("stopped", "end"), ("started", "end")]
)
def test_other_operations_are_passed(call: Hook, world: str, declared: str, operation: str, sub: str) -> None:
    done = call(declared, operation, sub)
    assert (done.returncode, done.stdout, done.stderr, online(world)) == (0, "", "", [0])


def test_for_a_domain_that_declares_nothing_little_is_imported(call: Hook, world: str) -> None:
    script = install.hook(world, strict=True).replace(" -I -c ", " -X importtime -I -c ")
    done = call(domain_xml(handle(world)), script=script)
    modules = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines()]
    assert "xenvcpu.toolstacks.libvirt.hook" in modules
    assert not {"cffi", "xenvcpu.host", "xenvcpu.contextfile", "logging", "xml.etree.ElementTree"} & set(modules)


FAILURES = {
    "a context that Xen would refuse": element(f'<x:context>{CONTEXT}</x:context><x:set key="cr0">0x80000000</x:set>'),
    "no such vcpu": element(attributes='vcpus="1-9"'),
    "not ours": element("<x:exec/>"),
}


@pytest.mark.parametrize("metadata", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("strict", [False, True])
def test_a_failure_leaves_the_domain_alone_unless_strict(
    call: Hook, world: str, metadata: str, strict: bool
) -> None:
    done = call(domain_xml(handle(world), metadata), strict=strict)
    assert (done.returncode, online(world)) == (int(strict), [0])
    assert ("libvirt ends the domain" if strict else "runs without its declared vcpus") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("strict", [False, True])
def test_a_guest_that_begins_with_hvmloader_is_refused(call: Hook, world: str, strict: bool) -> None:
    done = call(domain_xml(handle(world), element(), driver="xen"), strict=strict)
    assert (done.returncode, online(world)) == (int(strict), [0])
    assert "begins with hvmloader" in done.stderr


def test_a_pvh_guest_of_xen_is_not(call: Hook, world: str) -> None:
    call(domain_xml(handle(world), element(), driver="xen").replace(">hvm<", ">xenpvh<"))
    assert online(world) == [0, 1, 2, 3]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("text", ["<domain {}", "<!DOCTYPE a [<!ENTITY a 'b'>]><a>{}</a>", "<{}" + "x" * MAX_SIZE])
def test_what_declares_something_and_is_no_domain_is_told(call: Hook, text: str, strict: bool) -> None:
    done = call(text.format(OURS), strict=strict)
    assert done.returncode == int(strict) and "domain XML" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("strict", [False, True])
def test_a_host_that_cannot_be_opened_ends_no_domain_unless_strict(call: Hook, declared: str, strict: bool) -> None:
    assert call(declared, strict=strict, host="model:/nowhere").returncode == int(strict)


@pytest.mark.parametrize("strict", [False, True])
def test_a_python_that_is_gone_ends_no_domain(
    call: Hook, declared: str, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python 3")
    done = call(declared, strict=strict)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("strict", [False, True])
def test_a_package_that_is_gone_ends_no_domain(call: Hook, declared: str, world: str, strict: bool) -> None:
    script = install.hook(world, strict=strict).replace(ownfile.package(), "/nowhere")
    done = call(declared, strict=strict, script=script)
    assert (done.returncode, done.stderr) == (0, "")


def test_other_operations_need_no_python(
    call: Hook, declared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert call(declared, "prepare", strict=True).returncode == 0


def test_the_host_is_no_shell_code(call: Hook, declared: str, tmp_path: Path) -> None:
    done = call(declared, host=f"model:$(touch {tmp_path}/x)'; touch {tmp_path}/x #\"`touch {tmp_path}/x`")
    assert done.returncode == 0 and "neither a built-in world nor a file" in done.stderr
    assert not (tmp_path / "x").exists()


def test_the_systems_log_has_a_line_of_what_was_done(listener: socket.socket, world: str, declared: str) -> None:
    said = io.StringIO()
    log = Log("xenvcpu-hook", listener.getsockname(), said)
    assert hook.run(world, False, io.BytesIO(declared.encode()), log) == 0
    text = listener.recv(4096).decode()
    # daemon (3) and info (6)
    assert text.startswith(f"<30>xenvcpu-hook[{os.getpid()}]: domain web ({handle(world)}): started vcpus 1-2")
    assert said.getvalue().startswith("xenvcpu-hook: domain web")


def test_a_name_cannot_forge_a_line_of_the_log(listener: socket.socket, world: str) -> None:
    xml = domain_xml(handle(world), element(attributes='vcpus="9"'), name="w%s\nb&#9;\u202e")
    assert hook.run(world, False, io.BytesIO(xml.encode()), Log("hook", listener.getsockname(), io.StringIO())) == 0
    text = listener.recv(4096).decode()
    # daemon (3) and warning (4)
    assert text.startswith("<28>hook") and "w%s\\nb\\t\\u202e" in text and text.isprintable()


def test_installing_it_again_changes_nothing(run: Run, tmp_path: Path) -> None:
    first, again = (run("libvirt", "install-hook", "--folder", tmp_path, "--json").json for _ in range(2))
    path = tmp_path / "libxl.d/xenvcpu"
    assert (first["changed"], again["changed"], first["file"]) == (True, False, str(path))
    assert path.stat().st_mode & 0o777 == 0o755 and [file.name for file in path.parent.iterdir()] == ["xenvcpu"]
    assert "dom0" in path.read_text()


def test_a_world_file_is_named_so_that_the_hook_finds_it_from_any_folder(
    world: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(world[len("model:") :])
    monkeypatch.chdir(path.parent)
    assert str(path) in install.hook(f"model:{path.name}", strict=False)


def test_our_own_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "xenvcpu"
    ownfile.put(path, install.hook("dom0", strict=False), 0o755)
    assert ownfile.put(path, install.hook("dom0", strict=True), 0o755)
    assert path.read_text() == install.hook("dom0", strict=True)


def test_a_folder_that_nobody_made_is_not_made(run: Run, tmp_path: Path) -> None:
    done = run("libvirt", "install-hook", "--folder", tmp_path / "nowhere/hooks")
    assert done.code == 5 and "no such folder; libvirt's daemon has its hooks there" in done.err
    assert not list(tmp_path.iterdir())


def test_the_hook_is_removed_and_no_other(run: Run, tmp_path: Path) -> None:
    line = ("libvirt", "remove-hook", "--folder", tmp_path)
    run("libvirt", "install-hook", "--folder", tmp_path)
    other = tmp_path / "libxl.d/other"
    other.write_text("#!/bin/sh\n")
    assert [run(*line, "--json").json["changed"] for _ in range(2)] == [True, False]
    assert [file.name for file in other.parent.iterdir()] == ["other"]


def test_a_file_that_is_not_ours_stays(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "libxl.d/xenvcpu"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    done = run("libvirt", "install-hook", "--folder", tmp_path)
    assert done.code == 5 and "stays as it is" in done.err and path.read_text() == "#!/bin/sh\n"
    assert run("libvirt", "remove-hook", "--folder", tmp_path).code == 5 and path.exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "xenvcpu").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="stays as it is"):
        ownfile.put(tmp_path / "xenvcpu", install.hook("dom0", strict=False), 0o755)
    assert not (tmp_path / "elsewhere").exists()
