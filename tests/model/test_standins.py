# SPDX-License-Identifier: MIT
"""The stand-ins for the C libraries: prototypes, conversions, errno, handles and memory, as with the real ones."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from cffi import FFI

from cbind import build
from tests.model.machine import HEADER, END, context, cpu
from xenvcpu._xen import ffi
from xenvcpu.abi import save_stream
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.libxencall import LibXenCall
from xenvcpu.model.libxenctrl import LibXenCtrl
from xenvcpu.model.libxenforeignmemory import LibXenForeignMemory
from xenvcpu.model.libxenguest import LibXenGuest
from xenvcpu.model.libxenstore import LibXenStore
from xenvcpu.model.libxentoollog import LibXenToolLog
from xenvcpu.model.standin import MisuseError, address
from xenvcpu.model.vcpuop import Op
from xenvcpu.model.worlds import open_world
from xenvcpu.rules.release import NEWEST, OLDEST

LIBRARIES = {
    "xenctrl.h": LibXenCtrl, "xenctrl418.h": LibXenCtrl, "xenguest.h": LibXenGuest, "xenguest412.h": LibXenGuest,
    "xencall.h": LibXenCall, "xenforeignmemory.h": LibXenForeignMemory,
    "xenstore.h": LibXenStore, "xentoollog.h": LibXenToolLog,
}
WEB = 1


def declared(file: str) -> dict[str, str]:
    """The functions that a file of declarations adds, by name, each with its type."""
    before = build.DECLARATIONS[: build.DECLARATIONS.index(file)]
    made = FFI()
    for name in before:
        made.cdef((build.FOLDER / name).read_text())
    known = set(made._parser._declarations)  # type: ignore[attr-defined]
    made.cdef((build.FOLDER / file).read_text())
    found = {}
    for key, (kind, _) in made._parser._declarations.items():  # type: ignore[attr-defined]
        if key not in known and key.startswith("function "):
            found[key.split()[1]] = kind.get_c_name()
    return found


@pytest.mark.parametrize("file", LIBRARIES)
def test_a_stand_in_has_the_functions_of_the_declarations_with_their_types(file: str) -> None:
    library = LIBRARIES[file]
    files = [each for each in LIBRARIES if LIBRARIES[each] is library]
    wanted = {name: ffi.typeof(text) for each in files for name, text in declared(each).items()}
    assert {name: each.ctype for name, each in library.prototypes().items()} == wanted


@pytest.mark.parametrize("file", build.MINORS)
def test_a_stand_in_has_a_function_in_the_releases_of_its_declaration(file: str) -> None:
    for minor in range(OLDEST, NEWEST + 1):
        library = getattr(open_world("pvh", f"4.{minor}"), file.rstrip(".h0123456789"))
        for name in declared(file):
            if minor in build.MINORS[file]:
                assert callable(getattr(library, name))
            else:
                with pytest.raises(ffi.error, match=name):
                    getattr(library, name)


@pytest.fixture
def xch(libraries: ModelLibraries) -> Any:
    return libraries.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)


@pytest.fixture
def call(inside: ModelLibraries) -> Any:
    return inside.xencall.xencall_open(ffi.NULL, 0)


def placed(libraries: ModelLibraries, handle: Any, data: bytes) -> Any:
    """A hypercall buffer with these bytes."""
    pointer = libraries.xencall.xencall_alloc_buffer(handle, len(data))
    ffi.memmove(pointer, data, len(data))
    return pointer


class TestArguments:
    """What cffi does with an argument, the stand-ins do."""

    def test_of_the_wrong_type_is_a_type_error(self, libraries: ModelLibraries, xch: Any) -> None:
        with pytest.raises(TypeError):
            libraries.xenctrl.xc_domain_pause(xch, "1")

    def test_that_does_not_fit_is_an_overflow_error(self, libraries: ModelLibraries, xch: Any) -> None:
        with pytest.raises(OverflowError):
            libraries.xenctrl.xc_domain_pause(xch, 1 << 32)
        with pytest.raises(OverflowError):
            libraries.xenctrl.xc_domain_pause(xch, -1)

    def test_that_is_none_is_no_pointer(self, libraries: ModelLibraries) -> None:
        with pytest.raises(TypeError):
            libraries.xenctrl.xc_interface_open(None, ffi.NULL, 0)

    def test_that_is_a_pointer_to_something_else_is_a_type_error(self, libraries: ModelLibraries, xch: Any) -> None:
        with pytest.raises(TypeError):
            libraries.xenctrl.xc_domain_hvm_getcontext(xch, WEB, ffi.new("uint64_t[]", 10), 80)

    def test_that_is_bytes_is_a_pointer_to_them(self, libraries: ModelLibraries, xch: Any) -> None:
        stream = save_stream.join((HEADER, cpu(0), END))
        assert libraries.xenctrl.xc_domain_hvm_setcontext(xch, WEB, stream, len(stream)) == 0

    def test_that_is_missing_is_a_type_error(self, libraries: ModelLibraries, xch: Any) -> None:
        with pytest.raises(TypeError, match="expects 2 arguments, got 1"):
            libraries.xenctrl.xc_domain_pause(xch)

    def test_an_unknown_function_is_no_attribute(self, libraries: ModelLibraries) -> None:
        with pytest.raises(AttributeError, match="xc_domain_getinfo"):
            libraries.xenctrl.xc_domain_getinfo  # noqa: B018


class TestErrno:
    """A call that fails returns -1 or NULL and sets errno; one that succeeds leaves it."""

    def test_is_set_by_a_failure(self, libraries: ModelLibraries, xch: Any) -> None:
        assert libraries.xenctrl.xc_domain_pause(xch, 99) == -1
        assert ffi.errno == errno.ESRCH

    def test_is_left_by_a_success(self, libraries: ModelLibraries, xch: Any) -> None:
        ffi.errno = errno.EDOM
        assert libraries.xenctrl.xc_domain_pause(xch, WEB) == 0
        assert ffi.errno == errno.EDOM

    def test_is_not_set_by_a_partial_get_without_a_buffer(self, libraries: ModelLibraries, xch: Any) -> None:
        ffi.errno = errno.EDOM
        assert libraries.xenctrl.xc_domain_hvm_getcontext_partial(xch, WEB, 2, 0, ffi.NULL, 0) == -1
        assert ffi.errno == errno.EDOM

    def test_is_eacces_for_a_library_of_another_release(self) -> None:
        libraries = ModelLibraries(open_world("pvh").host, is_matching=False)
        xch = libraries.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)
        assert libraries.xenctrl.xc_domain_pause(xch, WEB) == -1
        assert ffi.errno == errno.EACCES


class TestHandles:
    """Handles are checked where the real libraries would crash."""

    def test_that_are_closed_are_refused(self, libraries: ModelLibraries, xch: Any) -> None:
        libraries.xenctrl.xc_interface_close(xch)
        with pytest.raises(MisuseError, match="not an open handle"):
            libraries.xenctrl.xc_domain_pause(xch, WEB)

    def test_that_are_null_are_refused(self, libraries: ModelLibraries) -> None:
        with pytest.raises(MisuseError):
            libraries.xenctrl.xc_domain_pause(ffi.cast("xc_interface *", 0), WEB)

    def test_that_stay_open_are_leaks(self, libraries: ModelLibraries, xch: Any) -> None:
        assert libraries.leaks == {"libxenctrl": 1}
        libraries.xenctrl.xc_interface_close(xch)
        assert libraries.leaks == {}


class TestXenctrl:
    """libxenctrl."""

    def test_version_is_positive(self, libraries: ModelLibraries, xch: Any) -> None:
        assert libraries.xenctrl.xc_version(xch, 0, ffi.NULL) == 4 << 16 | 17

    def test_an_unknown_version_command_is_returned_as_minus_einval(self, libraries: ModelLibraries, xch: Any) -> None:
        assert libraries.xenctrl.xc_version(xch, 99, ffi.NULL) == -errno.EINVAL

    def test_getcontext_returns_the_length(self, libraries: ModelLibraries, xch: Any) -> None:
        size = libraries.xenctrl.xc_domain_hvm_getcontext(xch, WEB, ffi.NULL, 0)
        buffer = ffi.new("uint8_t[]", size)
        length = libraries.xenctrl.xc_domain_hvm_getcontext(xch, WEB, buffer, size)
        assert save_stream.split(bytes(ffi.buffer(buffer, length))).trailing == b""

    def test_old_releases_leave_junk_behind_the_stream(self) -> None:
        libraries = open_world("pvh", "4.11.3")
        xch = libraries.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0)
        size = libraries.xenctrl.xc_domain_hvm_getcontext(xch, WEB, ffi.NULL, 0)
        buffer = ffi.new("uint8_t[]", size)
        length = libraries.xenctrl.xc_domain_hvm_getcontext(xch, WEB, buffer, size)
        assert set(save_stream.split(bytes(ffi.buffer(buffer))).trailing) == {0xA5}
        assert length < size

    def test_vcpu_information_is_written_on_failure_too(self, libraries: ModelLibraries, xch: Any) -> None:
        info = ffi.new("xc_vcpuinfo_t *", {"online": 1})
        assert libraries.xenctrl.xc_vcpu_getinfo(xch, WEB, 99, info) == -1
        assert (info.vcpu, info.online) == (99, 0)

    def test_vcpuids_are_cut_to_16_bits(self, libraries: ModelLibraries, xch: Any) -> None:
        info = ffi.new("xc_vcpuinfo_t *")
        assert libraries.xenctrl.xc_vcpu_getinfo(xch, WEB, 0x10000, info) == 0
        assert (info.vcpu, info.online) == (0, 1)

    def test_the_console_is_read_on_from_where_it_was_left(self, libraries: ModelLibraries, xch: Any) -> None:
        index, buffer = ffi.new("uint32_t *", libraries.host.console.produced), ffi.new("char[]", 100)
        for line in ("first", "second"):
            libraries.host.console.print(line)
            count = ffi.new("unsigned int *", 100)
            assert libraries.xenctrl.xc_readconsolering(xch, buffer, count, 0, 1, index) == 0
            assert ffi.string(buffer, count[0]) == f"(XEN) {line}\n".encode()

    def test_an_address_with_paging_off_is_its_own_frame(self, libraries: ModelLibraries, xch: Any) -> None:
        stream = save_stream.join((HEADER, cpu(0), END))
        libraries.xenctrl.xc_domain_hvm_setcontext(xch, WEB, stream, len(stream))
        assert libraries.xenctrl.xc_translate_foreign_address(xch, WEB, 0, 0x12345678) == 0x12345

    def test_an_address_is_walked_through_four_levels(self, libraries: ModelLibraries, xch: Any) -> None:
        memory = libraries.host.named("web").memory
        cr3 = libraries.host.named("web").vcpus[0].image["cr3"]
        for address_of_entry, entry in ((cr3, 0x5003), (0x5000, 0x6003), (0x6008, 0x400083)):
            memory.write(address_of_entry, entry.to_bytes(8, "little"))
        assert libraries.xenctrl.xc_translate_foreign_address(xch, WEB, 0, 0x201000) == 0x401

    def test_an_address_that_is_not_mapped_is_eaddrnotavail(self, libraries: ModelLibraries, xch: Any) -> None:
        assert libraries.xenctrl.xc_translate_foreign_address(xch, WEB, 0, 0x201000) == 0
        assert ffi.errno == errno.EADDRNOTAVAIL


class TestXencall:
    """libxencall, from inside the guest."""

    def test_a_result_may_be_positive(self, inside: ModelLibraries, call: Any) -> None:
        assert inside.xencall.xencall3(call, 24, Op.is_up, 0, 0) == 1

    def test_the_version_can_be_asked_for(self, inside: ModelLibraries, call: Any) -> None:
        assert inside.xencall.xencall2(call, 17, 0, 0) == 4 << 16 | 17

    def test_memory_from_elsewhere_is_efault(self, inside: ModelLibraries, call: Any) -> None:
        mine = ffi.new("char[]", context().pack())
        assert inside.xencall.xencall3(call, 24, Op.initialise, 1, address(mine)) == -1
        assert ffi.errno == errno.EFAULT

    def test_memory_from_alloc_buffer_is_read(self, inside: ModelLibraries, call: Any) -> None:
        pointer = placed(inside, call, context().pack())
        assert inside.xencall.xencall3(call, 24, Op.initialise, 1, address(pointer)) == 0

    def test_a_buffer_that_is_too_short_is_efault(self, inside: ModelLibraries, call: Any) -> None:
        pointer = placed(inside, call, context().pack()[:-1])
        assert inside.xencall.xencall3(call, 24, Op.initialise, 1, address(pointer)) == -1
        assert ffi.errno == errno.EFAULT

    def test_a_freed_buffer_is_efault(self, inside: ModelLibraries, call: Any) -> None:
        pointer = placed(inside, call, context().pack())
        inside.xencall.xencall_free_buffer(call, pointer)
        assert inside.xencall.xencall3(call, 24, Op.initialise, 1, address(pointer)) == -1
        assert ffi.errno == errno.EFAULT

    def test_a_buffer_freed_twice_is_refused(self, inside: ModelLibraries, call: Any) -> None:
        pointer = placed(inside, call, b"x")
        inside.xencall.xencall_free_buffer(call, pointer)
        with pytest.raises(MisuseError):
            inside.xencall.xencall_free_buffer(call, pointer)

    def test_an_unknown_hypercall_is_enosys(self, inside: ModelLibraries, call: Any) -> None:
        assert inside.xencall.xencall0(call, 63) == -1
        assert ffi.errno == errno.ENOSYS

    def test_a_restricted_guest_gets_eperm(self) -> None:
        libraries = open_world("restricted", here="web")
        handle = libraries.xencall.xencall_open(ffi.NULL, 0)
        assert libraries.xencall.xencall3(handle, 24, Op.is_up, 0, 0) == -1
        assert ffi.errno == errno.EPERM

    def test_a_shutdown_stops_the_callers_domain(self, inside: ModelLibraries, call: Any) -> None:
        pointer = placed(inside, call, (1).to_bytes(4, "little"))
        assert inside.xencall.xencall2(call, 29, 2, address(pointer)) == 0
        assert inside.host.named("web").shutdown == 1


class TestForeignMemory:
    """libxenforeignmemory."""

    @pytest.fixture
    def memory(self, libraries: ModelLibraries) -> Any:
        return libraries.xenforeignmemory.xenforeignmemory_open(ffi.NULL, 0)

    def test_frames_in_a_row_are_the_guests_own(self, libraries: ModelLibraries, memory: Any) -> None:
        pages = libraries.xenforeignmemory.xenforeignmemory_map(memory, WEB, 3, 2, [5, 6], ffi.NULL)
        guest = libraries.host.named("web").memory
        ffi.memmove(ffi.cast("char *", pages) + 4094, b"across", 6)
        assert guest.read(0x5FFE, 6) == b"across"
        guest.write(0x5000, b"back")
        assert bytes(ffi.buffer(pages, 4)) == b"back"

    def test_frames_in_any_order_go_back_when_unmapped(self, libraries: ModelLibraries, memory: Any) -> None:
        guest = libraries.host.named("web").memory
        guest.write(0x9000, b"nine")
        pages = libraries.xenforeignmemory.xenforeignmemory_map(memory, WEB, 3, 2, [9, 3], ffi.NULL)
        assert bytes(ffi.buffer(pages, 4)) == b"nine"
        ffi.memmove(ffi.cast("char *", pages) + 4096, b"three", 5)
        assert libraries.xenforeignmemory.xenforeignmemory_unmap(memory, pages, 2) == 0
        assert guest.read(0x3000, 5) == b"three"

    def test_a_missing_page_fails_the_call_without_err(self, libraries: ModelLibraries, memory: Any) -> None:
        pages = libraries.xenforeignmemory.xenforeignmemory_map(memory, WEB, 1, 2, [1, 1 << 40], ffi.NULL)
        assert (pages, ffi.errno) == (ffi.NULL, errno.EINVAL)

    def test_a_missing_page_is_told_in_err(self, libraries: ModelLibraries, memory: Any) -> None:
        errors = ffi.new("int[2]")
        pages = libraries.xenforeignmemory.xenforeignmemory_map(memory, WEB, 1, 2, [1, 1 << 40], errors)
        assert (pages != ffi.NULL, list(errors)) == (True, [0, -errno.EINVAL])

    def test_one_frame_can_be_mapped_twice(self, libraries: ModelLibraries, memory: Any) -> None:
        maps = [libraries.xenforeignmemory.xenforeignmemory_map(memory, WEB, 1, 1, [5], ffi.NULL) for _ in range(2)]
        assert [libraries.xenforeignmemory.xenforeignmemory_unmap(memory, each, 1) for each in maps] == [0, 0]
        assert "mappings" not in libraries.leaks

    def test_a_guest_may_not(self, inside: ModelLibraries) -> None:
        handle = inside.xenforeignmemory.xenforeignmemory_open(ffi.NULL, 0)
        assert inside.xenforeignmemory.xenforeignmemory_map(handle, WEB, 1, 1, [0], ffi.NULL) == ffi.NULL
        assert ffi.errno == errno.EPERM


class TestXenstore:
    """libxenstore."""

    @pytest.fixture
    def store(self, libraries: ModelLibraries) -> Any:
        return libraries.xenstore.xs_open(0)

    def test_has_the_names_of_domains(self, libraries: ModelLibraries, store: Any) -> None:
        length = ffi.new("unsigned int *")
        value = libraries.xenstore.xs_read(store, 0, b"/local/domain/1/name", length)
        assert bytes(ffi.buffer(value, length[0])) == b"web"
        libraries.libc.free(value)
        assert "libc" not in libraries.leaks

    def test_has_no_other_paths(self, libraries: ModelLibraries, store: Any) -> None:
        assert libraries.xenstore.xs_read(store, 0, b"/local/domain/7/name", ffi.NULL) == ffi.NULL
        assert ffi.errno == errno.ENOENT

    def test_for_the_name_of_one_of_many_domains_looks_at_no_other(self, libraries: ModelLibraries, store: Any) -> None:
        """It took quadratic time to list a host with a thousand domains."""
        libraries.host.domains[0].vcpus = None  # type: ignore[assignment]  # what looks at it fails
        value = libraries.xenstore.xs_read(store, 0, b"/local/domain/1/name", ffi.NULL)
        assert ffi.string(ffi.cast("char *", value)) == b"web"

    @pytest.mark.parametrize("path", [b"/local/domain/01/name", b"/local/domain/1x/name", b"/local/domain//name"])
    def test_takes_a_domid_as_it_is_written(self, libraries: ModelLibraries, store: Any, path: bytes) -> None:
        assert libraries.xenstore.xs_read(store, 0, path, ffi.NULL) == ffi.NULL

    def test_lists_domains(self, libraries: ModelLibraries, store: Any) -> None:
        count = ffi.new("unsigned int *")
        names = libraries.xenstore.xs_directory(store, 0, b"/local/domain", count)
        assert [ffi.string(names[i]) for i in range(count[0])] == [b"0", b"1"]


class TestFaults:
    """`ModelLibraries.fail`."""

    def test_fail_one_call_with_no_effect(self, libraries: ModelLibraries, xch: Any) -> None:
        libraries.fail("xc_domain_pause", errno.EIO)
        assert libraries.xenctrl.xc_domain_pause(xch, WEB) == -1
        assert (ffi.errno, libraries.host.named("web").pause_count) == (errno.EIO, 0)
        assert libraries.xenctrl.xc_domain_pause(xch, WEB) == 0

    def test_wait_for_their_turn(self, libraries: ModelLibraries, xch: Any) -> None:
        libraries.fail("xc_domain_pause", errno.EIO, after=1)
        assert [libraries.xenctrl.xc_domain_pause(xch, WEB) for _ in range(3)] == [0, -1, 0]

    def test_can_be_a_signal(self, libraries: ModelLibraries, xch: Any) -> None:
        libraries.fail("xc_domain_pause", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            libraries.xenctrl.xc_domain_pause(xch, WEB)

    def test_open_nothing(self, libraries: ModelLibraries) -> None:
        libraries.fail("xc_interface_open", errno.ENOENT)
        assert libraries.xenctrl.xc_interface_open(ffi.NULL, ffi.NULL, 0) == ffi.NULL
        assert ffi.errno == errno.ENOENT

    def test_log_what_the_library_says(self, libraries: ModelLibraries) -> None:
        log = libraries.new_log()
        xch = libraries.xenctrl.xc_interface_open(log.handle, log.handle, 0)
        libraries.fail("xc_domain_pause", errno.EIO, log="xc: error: broken")
        libraries.xenctrl.xc_domain_pause(xch, WEB)
        assert (ffi.errno, log.take()) == (errno.EIO, "xc: error: broken")
        log.close()


def test_calls_are_noted_with_their_numbers(libraries: ModelLibraries, xch: Any) -> None:
    libraries.xenctrl.xc_domain_pause(xch, WEB)
    assert libraries.calls[-1] == ("xc_domain_pause", (None, WEB))
    assert libraries.counts == {"xc_interface_open": 1, "xc_domain_pause": 1}


def test_the_rest_of_the_c_library_is_the_real_one(libraries: ModelLibraries) -> None:
    # The C library writes to both until the stream is closed.
    text, size = ffi.new("char **"), ffi.new("size_t *")
    stream = libraries.libc.open_memstream(text, size)
    assert libraries.libc.fclose(stream) == 0
    libraries.libc.free(text[0])
