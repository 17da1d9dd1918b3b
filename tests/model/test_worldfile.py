# SPDX-License-Identifier: MIT
"""World files: a host comes back as it was, whole or not at all."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.model.machine import END, HEADER, Machine, cpu
from xenvcpu._xen import ffi
from xenvcpu.abi import cpu_msr, save_stream
from xenvcpu.abi.save_stream import Record, Typecode
from xenvcpu.errors import ContextError
from xenvcpu.model import open_model, save, worldfile, worlds
from xenvcpu.model.domctl import Caller, Domctl
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.worldfile import WorldFileError

ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = str(tmp_path / "world.json")
    worldfile.new(made, "4.17", [("web", 4)])
    return made


def through(host: Any, path: str) -> Any:
    worldfile.save(host, path)
    return worldfile.load(path)


@pytest.mark.parametrize("name", worlds.NAMES)
def test_a_built_in_world_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    host = worlds.builtin(name)
    back = through(host, str(tmp_path / "world"))
    assert back.release == host.release
    assert worldfile.to_json(back) == worldfile.to_json(host)


def test_vcpus_and_memory_come_back_to_the_byte(tmp_path: Path) -> None:
    machine = Machine(online=2)
    machine.load(cpu(0, r15=5), cpu(1, 0x4000), Record(Typecode.CPU_MSR, 1, cpu_msr.encode([(0x48, 1)])))
    machine.domain.memory.write(0x5FFC, b"across")
    machine.domctl.pausedomain(1)
    before = save_stream.join(machine.save())
    back = through(machine.host, str(tmp_path / "world"))
    domain = back.domains[1]
    assert [vars(vcpu) for vcpu in domain.vcpus] == [{**vars(vcpu), "accepted": None} for vcpu in machine.domain.vcpus]
    assert (domain.memory.read(0x5FFC, 6), domain.pause_count) == (b"across", 1)
    back.clock.tsc = machine.domain.sync_tsc
    assert save.save(back, domain) == before


def test_the_console_comes_back_with_its_index(tmp_path: Path) -> None:
    machine = Machine()
    for number in range(2000):
        machine.host.console.print(f"line {number}")
    back = through(machine.host, str(tmp_path / "world")).console
    assert (back.text, back.produced) == (machine.host.console.text, machine.host.console.produced)


def test_a_vcpu_that_is_to_crash_crashes_after_it_comes_back(tmp_path: Path) -> None:
    machine = Machine()
    machine.domctl.pausedomain(1)
    machine.load(cpu(1, msr_efer=0x500, cr0=0x80000011, cr4=0))
    back = through(machine.host, str(tmp_path / "world"))
    Domctl(back, Caller(0)).unpausedomain(1)
    assert back.domains[1].shutdown == 3


def test_new_does_not_overwrite(path: str) -> None:
    with pytest.raises(ContextError, match="exists"):
        worldfile.new(path)


def pause(libraries: ModelLibraries) -> None:
    xch = libraries.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)
    assert libraries.xenctrl.xc_domain_pause(xch, 1) == 0
    libraries.xenctrl.xc_interface_close(xch)


def test_what_one_command_does_the_next_one_finds(path: str) -> None:
    for expected in (1, 2):
        with open_model(path) as libraries:
            pause(libraries)
        assert worldfile.load(path).domains[1].pause_count == expected


def test_every_change_is_in_the_file_at_once(path: str) -> None:
    """A program that is killed leaves the host as it was at that moment, as on a real one."""
    libraries = open_model(path)
    pause(libraries)
    assert worldfile.load(path).domains[1].pause_count == 1
    libraries.close()


def test_a_program_that_is_killed_leaves_a_whole_file(path: str) -> None:
    code = (
        f"import os, sys; sys.path.append({ROOT!r}); from tests.model.test_worldfile import open_model, pause\n"
        "libraries = open_model(sys.argv[1]); pause(libraries); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (9, b"")
    assert worldfile.load(path).domains[1].pause_count == 1
    with open_model(path):
        pass


def test_nothing_is_written_when_nothing_changed(path: str) -> None:
    before = Path(path).stat().st_ino
    with open_model(path):
        pass
    assert Path(path).stat().st_ino == before


def test_the_mode_of_the_file_is_kept(path: str) -> None:
    Path(path).chmod(0o640)
    with open_model(path) as libraries:
        pause(libraries)
    assert Path(path).stat().st_mode & 0o777 == 0o640


def test_nothing_else_is_left_in_the_folder(path: str) -> None:
    with open_model(path) as libraries:
        pause(libraries)
    assert [each.name for each in Path(path).parent.iterdir()] == ["world.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1}', "\x00"])
def test_a_file_that_is_no_world_is_told_with_its_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(WorldFileError, match="bad.json"):
        open_model(str(tmp_path / "bad.json"))


@pytest.mark.parametrize("key", ["xen", "vendor", "domains", "clock", "console"])
@pytest.mark.parametrize("value", [None, 5, "x", [{}]])
def test_a_damaged_world_is_told_and_never_another_error(key: str, value: object, path: str) -> None:
    found = json.loads(Path(path).read_text())
    found[key] = value
    Path(path).write_text(json.dumps(found))
    try:
        worldfile.load(path)
    except WorldFileError as error:
        assert path in str(error)
    else:
        assert (key, value) == ("console", "x")


@pytest.mark.parametrize("key", ["is_down", "tsc_offset", "cpu", "records", "has_entered"])
@pytest.mark.parametrize("value", [None, "x", [{}]])
def test_a_damaged_vcpu_is_told(key: str, value: object, path: str) -> None:
    found = json.loads(Path(path).read_text())
    found["domains"][1]["vcpus"][2][key] = value
    Path(path).write_text(json.dumps(found))
    with pytest.raises(WorldFileError, match="a damaged world"):
        worldfile.load(path)


def test_a_world_of_128_vcpus_takes_little_room(tmp_path: Path) -> None:
    worldfile.save(worlds.big(), str(tmp_path / "big"))
    assert (tmp_path / "big").stat().st_size < 200_000


def test_a_load_reaches_the_file(path: str) -> None:
    stream = save_stream.join((HEADER, cpu(0), cpu(3), END))
    with open_model(path) as libraries:
        xch = libraries.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)
        assert libraries.xenctrl.xc_domain_hvm_setcontext(xch, 1, stream, len(stream)) == 0
    assert [vcpu.vcpuid for vcpu in worldfile.load(path).domains[1].online] == [0, 3]


def test_random_bytes_are_no_world(tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(bytes(range(256)) * 12)
    with pytest.raises(WorldFileError, match="not JSON"):
        worldfile.load(str(junk))


@pytest.mark.parametrize("name", ["xfeature_mask", "console_produced", "console_cleared", "vendor", "xen", "console"])
@pytest.mark.parametrize("value", [None, [], 1.5, {}])
def test_a_value_of_another_type_is_a_damaged_world(path: str, name: str, value: object) -> None:
    found = json.loads(Path(path).read_text())
    assert name in found
    Path(path).write_text(json.dumps({**found, name: value}))
    with pytest.raises(WorldFileError, match="damaged"):
        worldfile.load(path)


def test_a_file_that_cannot_be_made_is_named_itself() -> None:
    with pytest.raises(OSError, match="'/nosuch/world.json'"):
        worldfile.new("/nosuch/world.json")


@pytest.mark.parametrize(("where", "name", "value"), [
    ("domain", "pages", 1 << 70), ("domain", "pages", -1), ("domain", "domid", -1), ("domain", "domid", 0x7FF0),
    ("domain", "domid", 0), ("domain", "name", "\ud800"), ("domain", "pause_count", 256),
    ("domain", "tsc_khz", 1 << 70),
    ("domain", "vcpus", [{}] * 8193), ("clock", "khz", 0), ("clock", "tsc", -1), ("clock", "step", 1 << 64),
])
def test_a_number_that_cannot_be_is_a_damaged_world(path: str, where: str, name: str, value: object) -> None:
    found = json.loads(Path(path).read_text())
    part = found["clock"] if where == "clock" else found["domains"][1]
    assert part[name] != value
    part[name] = value
    with pytest.raises(WorldFileError, match="damaged"):
        worldfile.from_json(found)


@pytest.mark.parametrize("cut", [0, 10])
def test_a_packed_value_that_unpacks_to_too_much_or_is_cut_is_a_damaged_world(path: str, cut: int) -> None:
    packed = zlib.compress(bytes(1 << 25 if not cut else 4096))[: -cut or None]
    found = json.loads(Path(path).read_text())
    found["domains"][1]["memory"] = {"0x5": base64.b64encode(packed).decode()}
    with pytest.raises(WorldFileError, match="damaged.*packed"):
        worldfile.from_json(found)


def test_packed_values_that_unpack_to_too_much_together_are_a_damaged_world(path: str) -> None:
    packed = base64.b64encode(zlib.compress(bytes(1 << 24))).decode()
    found = json.loads(Path(path).read_text())
    found["domains"][1]["memory"] = {hex(4096 * n): packed for n in range(4)}
    for vcpu in found["domains"][1]["vcpus"]:
        vcpu["xsave"] = packed
    found["domains"][1]["vcpus"] *= 4
    with pytest.raises(WorldFileError, match="damaged.*in all"):
        worldfile.from_json(found)


@pytest.mark.parametrize(("key", "size"), [("fpu_regs", 0), ("fpu_regs", 100), ("fpu_regs", 513), ("xsave", 100)])
def test_registers_of_another_length_are_a_damaged_world(path: str, key: str, size: int) -> None:
    found = json.loads(Path(path).read_text())
    found["domains"][1]["vcpus"][0][key] = base64.b64encode(zlib.compress(bytes(size))).decode()
    with pytest.raises(WorldFileError, match=f"damaged.* got {size}"):
        worldfile.from_json(found)


def test_what_is_wrong_with_a_world_is_said_in_short(path: str) -> None:
    found = json.loads(Path(path).read_text())
    found["domains"][1]["name"] = ["x" * 100_000]
    with pytest.raises(WorldFileError, match="name is") as caught:
        worldfile.from_json(found)
    assert len(str(caught.value)) < 1000


def test_a_device_or_a_pipe_is_no_world_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("/dev/zero", str(tmp_path / "pipe")):
        with pytest.raises(OSError, match=f"not a regular file: '{name}'"):
            open_model(name)


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="more than 67108864 bytes"):
        open_model(str(tmp_path / "sparse"))
