# SPDX-License-Identifier: MIT
"""Faults on purpose: an answer of the test's own, a library that vanishes, a program that is killed."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, Callable, Type

import pytest

from xenvcpu._xen import ffi
from xenvcpu.context.presets import flat32
from xenvcpu.errors import HypercallError
from xenvcpu.host import Host
from xenvcpu.model import open_model, worldfile, worlds
from xenvcpu.model.answer import Refused
from xenvcpu.model.faults import SHORT_NAMES, Killed, RealCall, answer_lost
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.libxencall import LibXenCall
from xenvcpu.model.libxenctrl import LibXenCtrl
from xenvcpu.model.libxenforeignmemory import LibXenForeignMemory
from xenvcpu.model.libxenstore import LibXenStore
from xenvcpu.model.libxentoollog import LibXenToolLog
from xenvcpu.model.standin import StandIn
from xenvcpu.ports.guest import VcpuOp

WEB = 1
STAND_INS = (LibXenCall, LibXenCtrl, LibXenForeignMemory, LibXenStore, LibXenToolLog)


@pytest.fixture
def xch(libraries: ModelLibraries) -> Any:
    return libraries.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)


@pytest.fixture
def pause(libraries: ModelLibraries, xch: Any) -> Callable[[], int]:
    return lambda: int(libraries.xenctrl.xc_domain_pause(xch, WEB))


def pauses(libraries: ModelLibraries) -> int:
    return libraries.host.domains[WEB].pause_count


class TestAnAnswerOfTheTestsOwn:
    """What `fail` is given may be called in place of the function."""

    def test_may_make_the_call_and_lose_its_answer(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        libraries.fail("xc_domain_pause", answer_lost(errno.EIO))
        assert (pause(), ffi.errno, pauses(libraries)) == (-1, errno.EIO, 1)
        assert (pause(), pauses(libraries)) == (0, 2)

    def test_may_not_make_the_call_at_all(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        libraries.fail("xc_domain_pause", lambda call: 0)
        assert (pause(), pauses(libraries)) == (0, 0)

    def test_may_be_short(self, libraries: ModelLibraries, xch: Any) -> None:
        get = libraries.xenctrl.xc_domain_hvm_getcontext
        whole = get(xch, WEB, ffi.NULL, 0)
        libraries.fail("xc_domain_hvm_getcontext", lambda call: call() - 8)
        assert get(xch, WEB, ffi.NULL, 0) == whole - 8

    def test_sees_the_arguments(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        libraries.fail("xc_domain_pause", lambda call: call.arguments[1] + 40)
        assert pause() == WEB + 40

    def test_is_told_of_a_call_that_fails_anyway(self, libraries: ModelLibraries, xch: Any) -> None:
        def answer(call: RealCall) -> int:
            with pytest.raises(Refused):
                call()
            return 0

        libraries.fail("xc_domain_pause", answer)
        assert libraries.xenctrl.xc_domain_pause(xch, 99) == 0

    def test_may_raise_after_the_effect(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        def answer(call: RealCall) -> int:
            call()
            raise KeyboardInterrupt

        libraries.fail("xc_domain_pause", answer)
        with pytest.raises(KeyboardInterrupt):
            pause()
        assert pauses(libraries) == 1

    def test_waits_for_its_turn(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        libraries.fail("xc_domain_pause", lambda call: 7, after=1)
        assert [pause(), pause(), pause()] == [0, 7, 0]

    def test_may_let_another_process_come_first(self, tmp_path: Path) -> None:
        """A race: the file of the world is not locked while the fault decides."""
        path = str(tmp_path / "world")
        worldfile.new(path)
        with open_model(path) as one, open_model(path) as other:
            handles = [each.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0) for each in (one, other)]

            def answer(call: RealCall) -> Any:
                assert other.xenctrl.xc_domain_pause(handles[1], WEB) == 0
                return call()

            one.fail("xc_domain_pause", answer)
            assert one.xenctrl.xc_domain_pause(handles[0], WEB) == 0
        assert worldfile.load(path).domains[WEB].pause_count == 2


class TestALibraryThatVanishes:
    """`vanish`: no call on a handle works any more, and nothing leaks."""

    def test_fails_each_call_with_no_effect(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        libraries.vanish(errno.ENODEV)
        for _ in range(3):
            assert (pause(), ffi.errno, pauses(libraries)) == (-1, errno.ENODEV, 0)

    def test_vanishes_after_a_number_of_calls_of_all_libraries(
        self, libraries: ModelLibraries, pause: Callable[[], int]
    ) -> None:
        libraries.vanish(after=3)
        assert pause() == 0
        store = libraries.xenstore.xs_open(0)
        assert pause() == 0
        assert (pause(), ffi.errno, pauses(libraries)) == (-1, errno.EBADF, 2)
        assert libraries.xenstore.xs_read(store, 0, b"/local/domain/1/name", ffi.NULL) == ffi.NULL

    def test_still_closes_frees_and_unmaps(self, libraries: ModelLibraries, xch: Any) -> None:
        call = libraries.xencall.xencall_open(ffi.NULL, 0)
        buffer = libraries.xencall.xencall_alloc_buffer(call, 64)
        memory = libraries.xenforeignmemory.xenforeignmemory_open(ffi.NULL, 0)
        page = libraries.xenforeignmemory.xenforeignmemory_map(memory, WEB, 3, 1, [5], ffi.NULL)
        store = libraries.xenstore.xs_open(0)
        libraries.vanish()
        assert libraries.xencall.xencall_alloc_buffer(call, 64) == ffi.NULL
        libraries.xencall.xencall_free_buffer(call, buffer)
        assert libraries.xenforeignmemory.xenforeignmemory_unmap(memory, page, 1) == 0
        assert libraries.xencall.xencall_close(call) == libraries.xenctrl.xc_interface_close(xch) == 0
        assert libraries.xenforeignmemory.xenforeignmemory_close(memory) == 0
        libraries.xenstore.xs_close(store)
        assert libraries.leaks == {}

    def test_is_one_process_and_no_other(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        other = ModelLibraries(libraries.host)
        theirs = other.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)
        libraries.vanish()
        assert (pause(), other.xenctrl.xc_domain_pause(theirs, WEB)) == (-1, 0)
        assert pauses(libraries) == 1


class TestAProgramThatIsKilled:
    """`kill`: it does nothing from there on."""

    @pytest.mark.parametrize(("when", "effects"), [("before", 1), ("after", 2)])
    def test_dies_in_the_call_that_was_named(
        self, libraries: ModelLibraries, pause: Callable[[], int], when: str, effects: int
    ) -> None:
        libraries.kill(2, when)
        assert pause() == 0
        with pytest.raises(Killed, match="xc_domain_pause"):
            pause()
        assert (pauses(libraries), libraries.is_killed) == (effects, True)

    def test_dies_after_a_call_that_failed_too(self, libraries: ModelLibraries, xch: Any) -> None:
        libraries.kill(1, "after")
        with pytest.raises(Killed):
            libraries.xenctrl.xc_domain_pause(xch, 99)

    def test_puts_nothing_back_in_a_finally(self, libraries: ModelLibraries, xch: Any) -> None:
        libraries.kill(2)
        with pytest.raises(Killed):
            try:
                libraries.xenctrl.xc_domain_pause(xch, WEB)
                libraries.xenctrl.xc_domain_pause(xch, WEB)
            finally:
                libraries.xenctrl.xc_domain_unpause(xch, WEB)
        assert pauses(libraries) == 1

    def test_is_caught_by_no_handler_of_errors(self) -> None:
        assert not issubclass(Killed, Exception)

    def test_counts_the_calls_of_all_libraries(self, libraries: ModelLibraries, xch: Any) -> None:
        libraries.kill(3)
        store = libraries.xenstore.xs_open(0)
        libraries.xenstore.xs_close(store)
        with pytest.raises(Killed, match="xencall_open"):
            libraries.xencall.xencall_open(ffi.NULL, 0)

    def test_leaks_nothing_and_closes_in_silence(self, libraries: ModelLibraries, xch: Any) -> None:
        memory = libraries.xenforeignmemory.xenforeignmemory_open(ffi.NULL, 0)
        libraries.xenforeignmemory.xenforeignmemory_map(memory, WEB, 3, 1, [5], ffi.NULL)
        libraries.kill()
        with pytest.raises(Killed):
            libraries.xenctrl.xc_domain_pause(xch, WEB)
        assert libraries.xenctrl.xc_interface_close(xch) == 0
        assert libraries.leaks == {}
        libraries.close()

    def test_can_die_of_closing(self, libraries: ModelLibraries, xch: Any) -> None:
        libraries.kill()
        with pytest.raises(Killed):
            libraries.xenctrl.xc_interface_close(xch)

    def test_makes_no_more_calls(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        libraries.kill()
        for _ in range(3):
            with pytest.raises(Killed):
                pause()
        assert libraries.counts["xc_domain_pause"] == 1

    def test_is_one_process_and_another_sees_what_it_left(
        self, libraries: ModelLibraries, pause: Callable[[], int]
    ) -> None:
        other = ModelLibraries(libraries.host)
        theirs = other.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)
        libraries.kill(1, "after")
        with pytest.raises(Killed):
            pause()
        assert other.xenctrl.xc_domain_unpause(theirs, WEB) == 0
        assert pauses(libraries) == 0

    @pytest.mark.parametrize(("when", "effects"), [("before", 0), ("after", 1)])
    def test_has_written_to_a_world_file_what_it_did(self, when: str, effects: int, tmp_path: Path) -> None:
        path = str(tmp_path / "world")
        worldfile.new(path)
        with open_model(path) as libraries:
            xch = libraries.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)
            libraries.kill(1, when)
            with pytest.raises(Killed):
                libraries.xenctrl.xc_domain_pause(xch, WEB)
        assert worldfile.load(path).domains[WEB].pause_count == effects

    def test_a_host_can_be_left_after_it(self) -> None:
        libraries = ModelLibraries(worlds.pvh())
        with Host("model", libraries) as host:
            domain = host.domain("web")
            libraries.kill(at=4)
            with pytest.raises(Killed):
                domain.start([1], lambda vcpuid: flat32(0x100000))

    @pytest.mark.parametrize(("at", "when"), [(0, "before"), (-1, "after"), (1, "during")])
    def test_cannot_die_at_another_time(self, libraries: ModelLibraries, at: int, when: str) -> None:
        with pytest.raises(ValueError, match="cannot kill"):
            libraries.kill(at, when)


FUNCTIONS = [
    pytest.param(library, function, id=name)
    for library in STAND_INS for name, function in library.prototypes().items()
]


@pytest.mark.parametrize(("library", "function"), FUNCTIONS)
def test_what_gives_back_is_known_by_its_name(library: Type[StandIn], function: Any) -> None:
    is_named = function.name.endswith(("_close", "_destroy", "_unmap", "_unmap_resource", "_free_buffer"))
    assert function.gives_back == is_named


@pytest.mark.parametrize(("library", "function"), FUNCTIONS)
def test_every_call_but_opening_and_logging_takes_a_handle(library: Type[StandIn], function: Any) -> None:
    assert function.takes_handle == (not function.name.endswith("_open") and library is not LibXenToolLog)


class TestNames:
    """What `fail` calls a function."""

    @pytest.mark.parametrize("short", SHORT_NAMES)
    def test_each_short_name_stands_for_a_function(self, libraries: ModelLibraries, short: str) -> None:
        name = SHORT_NAMES[short]
        assert name in (*libraries.functions, *(op.name for op in VcpuOp))
        libraries.fail(short, errno.EIO)

    @pytest.mark.parametrize(
        ("wrong", "meant"), [("setcontxt", "setcontext"), ("xc_domain_puase", "xc_domain_pause"), ("VCPUOP_upp", "up")]
    )
    def test_a_name_that_is_none_is_told_at_once(self, libraries: ModelLibraries, wrong: str, meant: str) -> None:
        with pytest.raises(ValueError, match=f"{wrong}.*did you mean.*{meant}"):
            libraries.fail(wrong, errno.EIO)

    @pytest.mark.parametrize(
        ("xens", "function"),
        [("setvcpucontext", "xc_vcpu_setcontext"), ("sethvmcontext", "xc_domain_hvm_setcontext"),
         ("pausedomain", "xc_domain_pause"), ("getdomaininfolist", "xc_domain_getinfolist")],
    )
    def test_a_call_may_be_named_as_xen_names_it(self, libraries: ModelLibraries, xens: str, function: str) -> None:
        libraries.fail(xens, errno.EIO)
        assert libraries.unreached == (f"{function} (the next call of it)",)

    @pytest.mark.parametrize("answer", ["ENOMEM", errno.ENOMEM])
    def test_an_errno_is_given_by_number_or_by_name(
        self, libraries: ModelLibraries, pause: Callable[[], int], answer: Any
    ) -> None:
        libraries.fail("pause", answer)
        assert (pause(), ffi.errno) == (-1, errno.ENOMEM)

    @pytest.mark.parametrize("answer", ["ENOMEN", "error", "", 0, -12, 99999])
    def test_what_is_no_errno_is_refused_at_once(self, libraries: ModelLibraries, answer: Any) -> None:
        with pytest.raises(ValueError, match="is no errno"):
            libraries.fail("pause", answer)
        with pytest.raises(ValueError, match="is no errno"):
            libraries.vanish(answer)
        assert libraries.unreached == ()

    @pytest.mark.parametrize("answer", [None, 1.5, KeyboardInterrupt, [errno.EIO]])
    def test_what_is_no_answer_is_refused_at_once(self, libraries: ModelLibraries, answer: Any) -> None:
        with pytest.raises(TypeError, match="a call fails with"):
            libraries.fail("pause", answer)

    def test_a_short_name_fails_its_function(self, libraries: ModelLibraries, pause: Callable[[], int]) -> None:
        libraries.fail("pause", errno.EIO)
        assert (pause(), ffi.errno, pauses(libraries)) == (-1, errno.EIO, 0)

    def test_a_vcpuop_fails_and_no_other_does(self) -> None:
        with open_model("pvh@web") as libraries, Host("model", libraries) as host:
            libraries.fail("up", errno.ENOMEM)
            assert host.guest.is_up(0)
            with pytest.raises(HypercallError) as caught:
                host.domain("self").start([1], lambda vcpuid: flat32(0x1000))
            assert (caught.value.op, caught.value.errno) == ("VCPUOP_up", errno.ENOMEM)
