# SPDX-License-Identifier: MIT
"""One world file, several processes: each sees at once what the others do, and none can leave it broken or locked."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from xenvcpu._xen import ffi
from xenvcpu.model import open_model, worldfile
from xenvcpu.model.domctl import Caller, Domctl
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.memory import PAGE
from xenvcpu.model.worldfile import WorldFileError

ROOT = str(Path(__file__).parents[2])
WEB = 1
READ, WRITE = 1, 3


@pytest.fixture
def path(tmp_path: Path) -> str:
    made = str(tmp_path / "world.json")
    worldfile.new(made, "4.17", [("web", 4)])
    return made


class Program:
    """A program that has the world open, with a handle on each library."""

    def __init__(self, path: str) -> None:
        self.libraries: ModelLibraries = open_model(path)
        self.xc = self.libraries.xenctrl
        self.xch = self.xc.xc_interface_open(ffi.NULL, ffi.NULL, 0)
        self.memory = self.libraries.xenforeignmemory
        self.handle = self.memory.xenforeignmemory_open(ffi.NULL, 0)

    def pause(self) -> int:
        return int(self.xc.xc_domain_pause(self.xch, WEB))

    def unpause(self) -> int:
        return int(self.xc.xc_domain_unpause(self.xch, WEB))

    def look(self) -> None:
        """Make a call that changes nothing."""
        assert self.xc.xc_version(self.xch, 0, ffi.NULL) > 0

    def look_for_domains(self) -> None:
        """Ask Xen something: time passes, and nothing changes."""
        assert self.xc.xc_domain_getinfolist(self.xch, 9, 1, ffi.NULL) == 0

    @property
    def pauses(self) -> int:
        """The pause count, as of this program's next call."""
        self.look()
        return self.libraries.host.domains[WEB].pause_count

    def map(self, protection: int, *frames: int) -> Any:
        made = self.memory.xenforeignmemory_map(self.handle, WEB, protection, len(frames), list(frames), ffi.NULL)
        assert made != ffi.NULL
        return ffi.cast("char *", made)

    def unmap(self, pointer: Any, pages: int) -> int:
        return int(self.memory.xenforeignmemory_unmap(self.handle, pointer, pages))


@pytest.fixture
def one(path: str) -> Iterator[Program]:
    program = Program(path)
    yield program
    program.libraries.close()


@pytest.fixture
def other(path: str) -> Iterator[Program]:
    program = Program(path)
    yield program
    program.libraries.close()


def forked(path: str) -> int:
    """A process that pauses and unpauses for ever, from when it has the world open; its id."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        program = Program(path)
        os.write(writer, b"!")
        while True:
            program.pause()
            program.unpause()
    assert os.read(reader, 1) == b"!"
    os.close(reader)
    os.close(writer)
    return child


def spawn(code: str, path: str) -> subprocess.Popen[str]:
    """Another process that has the world open as `program`."""
    begin = f"import sys; sys.path.append({ROOT!r}); from tests.model.test_openworld import Program\n"
    text = f"{begin}program = Program(sys.argv[1])\n{code}"
    command = [sys.executable, "-c", text, path]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def guest(path: str) -> Any:
    return worldfile.load(path).domains[WEB]


def test_opening_does_not_wait_for_one_that_has_it_open(one: Program, path: str) -> None:
    one.pause()
    with open_model(path) as libraries:
        assert libraries.host.domains[WEB].pause_count == 1


def test_each_sees_at_once_what_the_other_does(one: Program, other: Program) -> None:
    assert one.pause() == 0
    assert other.pauses == 1
    assert other.pause() == 0
    assert one.pauses == 2
    assert (one.unpause(), other.unpause()) == (0, 0)
    assert (one.unpause(), ffi.errno) == (-1, errno.EINVAL)


def test_handles_live_on_when_another_has_changed_the_file(one: Program, other: Program) -> None:
    buffer = ffi.new("uint8_t[]", one.xc.xc_domain_hvm_getcontext(one.xch, WEB, ffi.NULL, 0))
    for _ in range(3):
        other.pause()
        assert one.xc.xc_domain_hvm_getcontext(one.xch, WEB, buffer, len(buffer)) > 0
    assert one.libraries.leaks == {"libxenctrl": 1, "libxenforeignmemory": 1}


def test_the_count_of_hypercalls_is_this_programs_own(one: Program, other: Program) -> None:
    one.pause()
    other.pause()
    one.pause()
    assert (one.libraries.host.hypercalls["pausedomain"], other.libraries.host.hypercalls["pausedomain"]) == (2, 1)


def test_the_clock_goes_back_for_nobody(one: Program, other: Program) -> None:
    seen: List[int] = []
    for turn in range(20):
        program = (one, other)[turn % 2]
        for _ in range(turn):
            program.look_for_domains()
        program.pause()
        seen.append(program.libraries.host.clock.tsc)
    assert seen == sorted(set(seen))


def test_a_call_that_changes_nothing_reads_and_writes_nothing(one: Program, path: str) -> None:
    one.pause()
    host, inode = one.libraries.host, Path(path).stat().st_ino
    for _ in range(5):
        one.look()
    assert one.libraries.host is host and Path(path).stat().st_ino == inode


def test_a_full_save_writes_nothing_and_its_time_goes_on(one: Program, other: Program, path: str) -> None:
    """Whoever lists the domains of a world need not be able to write to it."""
    buffer = ffi.new("uint8_t[]", one.xc.xc_domain_hvm_getcontext(one.xch, WEB, ffi.NULL, 0))
    before = Path(path).read_bytes()
    one.look_for_domains()
    assert one.xc.xc_domain_hvm_getcontext(one.xch, WEB, buffer, len(buffer)) > 0
    saved_at = one.libraries.host.domains[WEB].sync_tsc
    assert Path(path).read_bytes() == before
    other.pause()
    one.look()
    assert one.libraries.host.domains[WEB].sync_tsc == saved_at > guest(path).sync_tsc


def test_a_file_that_was_edited_in_place_is_read_again(one: Program, path: str) -> None:
    text = Path(path).read_text()
    assert text.count('"pause_count":0,"sync_tsc"') == 2
    Path(path).write_text(text.replace('"pause_count":0,"sync_tsc"', '"pause_count":17,"sync_tsc"'))
    assert one.pauses == 17


def test_a_symbolic_link_names_the_same_world(one: Program, path: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    linked = Program(str(tmp_path / "link"))
    linked.pause()
    linked.libraries.close()
    assert one.pauses == 1 and (tmp_path / "link").is_symlink()


def test_the_file_is_given_back_after_a_call_that_raised(one: Program, other: Program) -> None:
    one.libraries.fail("xc_domain_pause", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        one.pause()
    assert (other.pause(), one.pauses) == (0, 1)


def test_a_file_that_is_gone_is_told_and_its_handles_still_close(one: Program, path: str) -> None:
    Path(path).unlink()
    with pytest.raises(FileNotFoundError, match="world.json"):
        one.pause()
    one.xc.xc_interface_close(one.xch)
    one.memory.xenforeignmemory_close(one.handle)
    one.libraries.close()
    assert one.libraries.leaks == {} and not Path(path).exists()


def test_a_file_that_is_no_world_any_more_is_told_each_time_and_left(one: Program, path: str) -> None:
    Path(path).write_text("junk")
    for _ in range(2):
        with pytest.raises(WorldFileError, match="world.json: not JSON"):
            one.pause()
    one.libraries.close()
    assert Path(path).read_text() == "junk"


def test_a_call_whose_result_cannot_be_written_has_not_been(one: Program, other: Program, path: str) -> None:
    beside = Path(path).parent / ".world.json.new"
    beside.mkdir()
    with pytest.raises(OSError, match="world.json'"):
        one.pause()
    beside.rmdir()
    assert (one.pauses, other.pauses) == (0, 0)
    assert (one.pause(), other.pauses) == (0, 1)


class TestClose:
    """Closing writes what is not yet in the file."""

    def test_writes_what_was_done_past_the_libraries(self, path: str) -> None:
        with open_model(path) as libraries:
            Domctl(libraries.host, Caller(0)).pausedomain(WEB)
            assert guest(path).pause_count == 0
        assert guest(path).pause_count == 1

    def test_writes_nothing_over_what_another_has_done_since(self, one: Program, path: str) -> None:
        with open_model(path) as libraries:
            Domctl(libraries.host, Caller(0)).pausedomain(WEB)
            one.pause()
            one.pause()
        assert guest(path).pause_count == 2

    def test_writes_what_is_still_mapped(self, one: Program, other: Program, path: str) -> None:
        one.map(WRITE, 5)[0:4] = b"left"
        other.pause()
        one.libraries.close()
        assert (guest(path).memory.read(5 * PAGE, 4), guest(path).pause_count) == (b"left", 1)

    def test_a_second_time_does_nothing(self, one: Program, other: Program) -> None:
        one.libraries.close()
        other.pause()
        one.libraries.close()
        assert other.pauses == 1


class TestMappings:
    """What is written through a mapping, and only that, goes into the file with the next call."""

    def test_a_write_is_the_guests_after_the_unmapping(self, one: Program, path: str) -> None:
        pages = one.map(WRITE, 5, 6)
        ffi.memmove(pages + 4094, b"across", 6)
        assert one.unmap(pages, 2) == 0
        assert guest(path).memory.read(0x5FFE, 6) == b"across"

    def test_a_write_is_the_guests_after_any_call(self, one: Program, path: str) -> None:
        ffi.memmove(one.map(WRITE, 5), b"now", 3)
        one.look()
        assert guest(path).memory.read(0x5000, 3) == b"now"

    def test_what_another_has_written_shows_after_any_call(self, one: Program, other: Program) -> None:
        pages, theirs = one.map(READ, 5), other.map(WRITE, 5)
        ffi.memmove(theirs, b"theirs", 6)
        other.look()
        one.look()
        assert ffi.unpack(pages, 6) == b"theirs"

    def test_two_write_to_one_page_and_neither_is_lost(self, one: Program, other: Program, path: str) -> None:
        mine, theirs = one.map(WRITE, 5), other.map(WRITE, 5)
        ffi.memmove(mine, b"mine", 4)
        ffi.memmove(theirs + 4, b"theirs", 6)
        assert (other.unmap(theirs, 1), one.unmap(mine, 1)) == (0, 0)
        assert guest(path).memory.read(0x5000, 10) == b"minetheirs"

    def test_a_page_that_was_only_looked_at_goes_back_to_nobody(self, one: Program, other: Program, path: str) -> None:
        pages = one.map(WRITE, 9, 3)
        theirs = other.map(WRITE, 3)
        ffi.memmove(theirs, b"theirs", 6)
        assert (other.unmap(theirs, 1), one.unmap(pages, 2)) == (0, 0)
        assert guest(path).memory.read(0x3000, 6) == b"theirs"

    def test_what_is_written_to_a_read_only_mapping_goes_nowhere(self, one: Program, path: str) -> None:
        pages = one.map(READ, 5)
        ffi.memmove(pages, b"lost", 4)
        one.pause()
        assert guest(path).memory.read(0x5000, 4) == bytes(4)

    def test_a_write_to_a_domain_that_is_gone_goes_nowhere(self, one: Program, path: str) -> None:
        pages = one.map(WRITE, 5)
        host = worldfile.load(path)
        host.domains[WEB].handle = host.domains[0].handle.__class__(int=99)
        worldfile.save(host, path)
        ffi.memmove(pages, b"lost", 4)
        assert one.unmap(pages, 1) == 0
        assert guest(path).memory.read(0x5000, 4) == bytes(4)


def test_two_processes_with_200_pauses_and_unpauses_end_with_none(path: str) -> None:
    code = "print('ready', flush=True); input()\n"
    code += "for _ in range(100): assert (program.pause(), program.unpause()) == (0, 0)"
    processes = [spawn(code, path) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert guest(path).pause_count == 0
    assert [each.name for each in Path(path).parent.iterdir()] == ["world.json"]


def test_a_process_killed_at_20_random_instants_leaves_a_whole_file_and_no_lock(one: Program, path: str) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    slowest = 0.0
    for _ in range(20):
        child = forked(path)
        time.sleep(chance.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        began = time.monotonic()
        assert guest(path).pause_count in (0, 1), seed
        if one.pauses:
            assert one.unpause() == 0
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1, seed
    one.pause()
    assert [each.name for each in Path(path).parent.iterdir()] == ["world.json"]


def test_what_a_killed_writer_left_is_used_up_by_the_next(one: Program, path: str) -> None:
    """Longer than the file itself, so that a rest of it would show."""
    (Path(path).parent / ".world.json.new").write_bytes(b"x" * 100_000)
    one.pause()
    assert guest(path).pause_count == 1
    assert [each.name for each in Path(path).parent.iterdir()] == ["world.json"]


def test_a_link_in_the_way_of_a_write_is_not_followed(one: Program, path: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".world.json.new").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="world.json"):
        one.pause()
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_start_of_vcpus_takes_no_longer_than_a_tenth_of_a_second(path: str) -> None:
    from xenvcpu import flat32, open_host

    with open_host(f"model:{path}") as host:
        domain = host.domain("web")
        began = time.process_time()
        domain.start([1, 2, 3], lambda vcpuid: flat32(0x100000))
        assert time.process_time() - began < 0.1
    assert [vcpu.vcpuid for vcpu in guest(path).online] == [0, 1, 2, 3]
