# SPDX-License-Identifier: MIT
"""Files that are no context files are called what they are."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import time
from pathlib import Path

import pytest

from xenvcpu.abi import save_stream
from xenvcpu.contextfile import filekind, load, registerdump
from xenvcpu.errors import ContextFileError, FormatError
from xenvcpu.model import worlds
from xenvcpu.model.save import save

DUMPS = Path(__file__).parents[1] / "data" / "dumps"


def elf(kind: int) -> bytes:
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", kind, 62).ljust(100, b"\0")


def stream() -> bytes:
    host = worlds.pvh()
    return save(host, host.named("web"))


BINARIES = {
    "a domain that `xl save` has saved": b"Xen saved domain, xl format\n \0 \r" + bytes(64),
    "libxl's migration stream": b"LibxlFmt" + bytes(64),
    "libxc's migration stream": struct.pack(">QIIHHI", (1 << 64) - 1, 0x58454E46, 2, 0, 0, 0),
    "an HVM save stream": stream(),
    "a core file": elf(4),
    "an ELF program": elf(2),
    "a Linux kernel": b"MZ".ljust(0x1FE, b"\0") + b"\x55\xaa\xeb\x66HdrS" + bytes(64),
    "compressed by gzip": gzip.compress(b"x"),
    "compressed by xz": lzma.compress(b"x"),
    "compressed by bzip2": bz2.compress(b"x"),
    "compressed by zstd": bytes.fromhex("28b52ffd2001090000") + b"x",
    "compressed by lz4": bytes.fromhex("04224d186440a7"),
}
TEXTS = {
    "a VMCS as Xen prints it": (DUMPS / "vmcs.txt").read_bytes(),
    "a VMCB as Xen prints it": (DUMPS / "vmcb.txt").read_bytes(),
    "the output of QEMU's `info registers`": (DUMPS / "qemu.txt").read_bytes(),
    "the output of xen-hvmctx": (DUMPS / "hvmctx.txt").read_bytes(),
    "Xen's console": b"(XEN) Xen version 4.17.5\n(XEN) Brought up 4 CPUs\n",
    "XML of libvirt": b"<domain type='xen'>\n  <name>web</name>\n</domain>\n",
    "a config of xl": b'kernel = "/boot/vmlinuz"\non_crash = destroy\n',
}


@pytest.mark.parametrize("size", [0, 1 << 21], ids=["small", "large"])
@pytest.mark.parametrize("what", [*BINARIES, *TEXTS])
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path: Path, what: str, size: int) -> None:
    data = {**BINARIES, **TEXTS}[what]
    if size and what in TEXTS:
        data += b"\n" * size
    path = tmp_path / "x"
    path.write_bytes(data + bytes(size if what in BINARIES else 0))
    with pytest.raises(ContextFileError) as caught:
        load(path)
    assert f"this is {what}" in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize(
    "text", ["eip = 1", '{"eip": 1}', "# (XEN) as in the log\neip = 1", 'description = "<domain"\neip = 1']
)
def test_a_context_file_is_one_whatever_its_words_are(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ap.toml"
    path.write_text(text)
    assert load(path).render(1)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\xff" * 8, bytes(4096), b"Xen", b"H" * 0x300])
def test_what_is_not_known_is_not_guessed(data: bytes) -> None:
    assert filekind.of_bytes(data) is None and filekind.of_text(data.decode("latin-1")) is None


@pytest.mark.parametrize(
    "text", ["\n", " ", "*", "(XEN) ", "CS: 0008 0a099 ffffffff ", "RAX = RBX ", "CS:" + " " * 4000, "cpl = 0 efer =\n"]
)
def test_a_hostile_text_takes_no_long_time(text: str) -> None:
    began = time.process_time()
    many = text * ((1 << 20) // len(text))
    filekind.of_text(many)
    with pytest.raises(FormatError):
        registerdump.read(many)
    assert time.process_time() - began < 10


def test_the_header_of_a_save_stream_is_that_of_the_abi() -> None:
    assert filekind.of_bytes(save_stream.join((save_stream.header(0, 0, 0), save_stream.END))) is not None
