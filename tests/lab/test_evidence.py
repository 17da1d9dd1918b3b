# SPDX-License-Identifier: MIT
"""Evidence helpers that need no Xen: tables, dumps, xl's output, the guest's console."""

import os
import struct
import threading
from pathlib import Path
from typing import Callable, Dict, Iterator, Tuple

import pytest

pytest.importorskip("cffi")

from integration.evidence import host, hvmctx, paging, stubs, traps, xl
from integration.evidence.guestconsole import ConsoleError, GuestConsole
from integration.guest import layout

Program = Callable[[str, str], Path]


def walk(tables: bytes, base: int, root: int, address: int, levels: Tuple[int, ...], size: int) -> int:
    """Walks page tables as a processor does and returns the physical address."""
    table = root
    for shift in levels:
        count = 4 if shift == 30 and len(levels) == 2 else 4096 // size
        index = (address >> shift) % count
        entry = int.from_bytes(tables[table - base + index * size :][:size], "little")
        assert entry & 1, f"not present at shift {shift}"
        if shift == levels[-1]:
            assert entry & 0x80
            return (entry & ~0xFFF) + address % (1 << shift)
        table = entry & ~0xFFF
    raise AssertionError


@pytest.mark.parametrize("address", [0, 0x401234, 0x3FFFFFFF, 0x40000000, 0xFEE00000, 0xFFFFFFFF])
def test_low_memory_is_mapped_to_itself(address: int) -> None:
    """In all three formats every address below 4 GiB leads to itself."""
    base = 0x210000
    tables, roots = paging.build(base), paging.roots(base)
    assert len(tables) == paging.PAGES * 4096
    assert walk(tables, base, roots.long, address, (39, 30, 21), 8) == address
    assert walk(tables, base, roots.pae, address, (30, 21), 8) == address
    assert walk(tables, base, roots.pse, address, (22, 22), 4) == address
    entry = int.from_bytes(tables[paging.entry_of(0, address) :][:8], "little")
    assert entry & ~0xFFF == address & ~0x1FFFFF and entry & paging.USED == paging.USED
    if address < 1 << 30:
        high = paging.HIGH_BASE + address
        assert walk(tables, base, roots.long, high, (39, 30, 21), 8) == address


class FakeMemory:
    """A guest's memory in a dictionary of pages."""

    domid = 7

    def __init__(self) -> None:
        self.bytes = bytearray(1 << 23)

    def write(self, address: int, data: bytes) -> None:
        self.bytes[address : address + len(data)] = data

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.bytes[address : address + size])

    def read_word(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.read(address, size), "little")


def area(tmp_path: Path, memory: FakeMemory) -> stubs.StubArea:
    """Returns a stub area over blobs that are sentinels only."""
    words = (layout.SENTINEL_DUMP, layout.SENTINEL_STACK, layout.SENTINEL_NOW, layout.SENTINEL_POLL)
    narrow = struct.pack("<4I", *words)
    wide = b"".join(struct.pack("<I", word) * 2 for word in words)
    for name in set(stubs.KINDS.values()):
        (tmp_path / name).write_bytes(wide if name == "stub64.bin" else narrow)
    return stubs.StubArea(memory, tmp_path, 0x400000, low=0, clock=0x200050)  # type: ignore[arg-type]


def test_a_stub_knows_its_addresses(tmp_path: Path) -> None:
    """Sentinels become addresses as seen through the bases of DS and SS."""
    memory = FakeMemory()
    place = area(tmp_path, memory).place
    assert place("flat32", 3) == 0x406000
    dump = 0x407000
    assert struct.unpack("<4I", memory.read(0x406000, 16)) == (dump, dump + 0xFF0, 0x200050, dump + layout.ST_POLL)
    place("flat32", 3, data_base=0x1000, stack_base=0x407000)
    assert struct.unpack("<3I", memory.read(0x406000, 12)) == (dump - 0x1000, 0xFF0, 0x1FF050)
    place("long64", 3)
    assert struct.unpack("<2Q", memory.read(0x406000, 16)) == (dump, dump + 0xFF0)
    assert place("real16", 2) == 0x4000
    assert struct.unpack("<3I", memory.read(0x4000, 12)) == (0x5000, 0x500, 0x5000 + layout.ST_NEVER)


def test_16_bit_code_has_few_places(tmp_path: Path) -> None:
    """Beyond 64 KiB a 16-bit stub is refused by name of the vcpu."""
    with pytest.raises(stubs.StubError, match="vcpu 8"):
        area(tmp_path, FakeMemory()).place("real16", 8)


def test_a_dump_is_read_by_name(tmp_path: Path) -> None:
    """Each field comes from its place; without the marker there is an error, not zeros."""
    memory = FakeMemory()
    where = area(tmp_path, memory)
    where.place("long64", 1, wanted=("msrs", "debug"))
    dump = 0x403000
    assert memory.read_word(dump + layout.ST_WANTED) == layout.WANT_MSRS | layout.WANT_DEBUG
    with pytest.raises(stubs.StubError, match="vcpu 1 of d7 never reached"):
        where.dump(1, timeout=0.05)
    memory.write(dump + layout.ST_GPRS, struct.pack("<16Q", *range(100, 116)))
    memory.write(dump + layout.ST_EFER, struct.pack("<Q", 0xD01))
    memory.write(dump + layout.ST_GDTR, struct.pack("<HQ", 0x27, 0xABC))
    memory.write(dump + layout.ST_MSRS + 56, struct.pack("<Q", 5))
    memory.write(dump + layout.ST_MARKER, struct.pack("<II", layout.MARKER, 9))
    seen = where.dump(1)
    assert (seen["rax"], seen["r15"], seen["efer"], seen["counter"]) == (100, 115, 0xD01, 9)
    assert (seen["gdtr_limit"], seen["gdtr_base"], seen["tsc_aux"]) == (0x27, 0xABC, 5)


@pytest.mark.parametrize(
    "wide, state, expected",
    [(True, (0x402180, 0, 6), traps.Trap(6, 0x402180)), (False, (0x10, 0x100, 13), traps.Trap(13, 0x100, 0x10))],
)
def test_a_trap_is_read_with_its_error_code(
    tmp_path: Path, wide: bool, state: Tuple[int, int, int], expected: traps.Trap
) -> None:
    """Gates lead to the handlers; what a handler noted comes back, and nothing before it did."""
    memory = FakeMemory()
    (tmp_path / "traps.bin").write_bytes(b"handlers")
    tables = traps.Traps(memory, tmp_path, wide)  # type: ignore[arg-type]
    low, selector, kind, high = struct.unpack("<HHxBH", memory.read(layout.TRAP_IDT + 13 * (16 if wide else 8), 8))
    handler = layout.TRAP_HANDLERS + 13 * layout.TRAP_STRIDE
    assert (low | high << 16, selector, kind) == (handler, layout.TRAP_CODE, 0x8E)
    assert memory.read(layout.TRAP_HANDLERS, 8) == b"handlers"
    assert tables.taken() is None
    memory.write(layout.TRAP_STATE, struct.pack("<QQII", *state, layout.MARKER))
    assert tables.taken() == expected


HVMCTX = """\
HVM save record for d3
 Entry 0: type 1 instance 0, length 24
    Header: magic 0x54381286, version 2
 Entry 1: type 2 instance 1, length 1032
    CPU:    rax 0x0000000000000001     rbx 0x0000000000000002
            cr0 0x0000000080000011     cr2 0x0000000000000000
      shadow gs 0x0000000000000000   efer           00000000
 Entry 2: type 4 instance 0, length 8
    IOAPIC: cr0 0x5
"""


def test_xen_hvmctx_is_understood(program: Program) -> None:
    """Registers come out of the record of their vcpu; a vcpu that is not shown is an error."""
    program("xen-hvmctx", f"print({HVMCTX!r}, end='')")
    seen = hvmctx.registers(3, 1)
    assert (seen["rax"], seen["rbx"], seen["cr0"], seen["efer"]) == (1, 2, 0x80000011, 0)
    with pytest.raises(hvmctx.HvmctxError, match="no vcpu 0"):
        hvmctx.registers(3, 0)


VCPU_LIST = """\
Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)
tiny-1                               5     0    0   -b-       0.1  all / all
tiny-1                               5     1    -   --p       0.0  all / all
"""
LIST = """\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0  1024     1     r-----      18.5
tiny-1                                       5    64     2     ---sc-       0.1
"""


def test_xl_is_understood(program: Program) -> None:
    """States come out of the columns; a domain that is not listed is gone."""
    outputs = {"vcpu-list": VCPU_LIST, "list": LIST}
    program("xl", f"import sys\nprint({outputs!r}[sys.argv[1]], end='')")
    assert xl.vcpu_list(5) == {0: "-b-", 1: "--p"}
    assert xl.online(5) == [0]
    assert (xl.state(5), xl.state(6)) == ("---sc-", None)


def test_xl_failures_carry_its_words(program: Program) -> None:
    """What xl printed is in the error."""
    program("xl", "import sys\nsys.exit('no such domain')")
    with pytest.raises(xl.XlError, match="no such domain"):
        xl.run("destroy", "9")


@pytest.fixture
def guest_console(program: Program) -> Iterator[Tuple[GuestConsole, int]]:
    """Gives a console whose other end is a pseudo-terminal of ours."""
    master, slave = os.openpty()
    program("xenstore-read", f"print({os.ttyname(slave)!r})")
    console = GuestConsole(1)
    yield console, master
    console.close()
    os.close(master)
    os.close(slave)


def play_agent(master: int) -> threading.Thread:
    """Lets the real agent's loop serve the other end of the console in a thread."""
    from integration.lab.linux import agent

    class End(agent.Console):
        def __init__(self) -> None:
            self._fd = master
            self._pending = b""

    def serve() -> None:
        try:
            agent.serve(End())
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_scripts_go_in_and_output_comes_out(guest_console: Tuple[GuestConsole, int], tmp_path: Path) -> None:
    """The two ends of the protocol agree, for long scripts and outputs too."""
    console, master = guest_console
    play_agent(master)
    console.await_line("READY", 60)
    assert console.run("echo hello; exit 3", 60) == (3, "hello\n")
    text = "x" * 3000
    assert console.run(f"# {text}\nprintf '{text}'", 60) == (0, text)


def test_noise_on_the_console_is_passed_over(guest_console: Tuple[GuestConsole, int]) -> None:
    """Kernel messages between the agent's lines do no harm."""
    console, master = guest_console
    os.write(master, b"[ 1.0] noise\n@@ OTHER 1\n\n@@ READY 12\n")
    console.await_line("READY", 60)
    assert "noise" in console.tail()


def test_a_silent_guest_is_an_error(guest_console: Tuple[GuestConsole, int]) -> None:
    """Its last words are in the error."""
    console, master = guest_console
    os.write(master, b"Oops\n")
    with pytest.raises(ConsoleError, match="Oops"):
        console.await_line("READY", 0.2)


def test_this_machine_says_why_it_is_no_dom0(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Xen the reason names the lab; without an image the variable."""
    if not host.why_not_dom0():
        pytest.skip("this is a dom0")
    assert "integration.lab" in host.why_not_dom0() or "root" in host.why_not_dom0()
    monkeypatch.delenv(host.LINUX_VARIABLE, raising=False)
    assert host.LINUX_VARIABLE in host.why_no_linux_guest()
    monkeypatch.setenv(host.LINUX_VARIABLE, "/nowhere")
    assert "vmlinux, initrd" in host.why_no_linux_guest()


def test_paging_bits() -> None:
    """Each mode's control bits are those that its name says."""
    found: Dict[str, Dict[str, int]] = {mode: paging.bits(mode) for mode in ("none", "pse", "pae", "long")}
    assert found["long"] == {"cr0": 0x80000011, "cr4": 0x20, "efer": 0x500}
    assert found["none"]["cr0"] & 0x80000000 == 0
