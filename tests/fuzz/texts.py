# SPDX-License-Identifier: MIT
"""What is run on text: context files, expressions, world files, and what a terminal is shown."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Iterable, Union

from xenvcpu import keptfile
from xenvcpu.abi import cpu_msr, cpu_record, save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import END, Record, Typecode
from xenvcpu.capture import Capture
from xenvcpu.cli import output
from xenvcpu.context.presets import PRESETS
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile import FORMATS, as_mapping, dump, expression, filekind, loads, registerdump, source, stream
from xenvcpu.contextfile.expression import MAX_BITS, Expression
from xenvcpu.contextfile.template import ContextTemplate
from xenvcpu.contextfile.writing import written
from xenvcpu.encoding import as_context, to_cpu_record
from xenvcpu.errors import ContextError
from xenvcpu.left import Left
from xenvcpu.model import worldfile, worlds
from xenvcpu.rules.release import Release

STYLES = ("toml", "json")
DUMPS = Path(__file__).parents[1] / "data" / "dumps"
VCPUIDS = (0, 3, 127)
WORDS = (
    "vcpuid", "preset", "format", "mode", "32B", "64B", "[msrs]", "msrs", "[[records]]", "records", "typecode",
    "instance", "payload", "fpu_regs", "rest", "length", "schema", "description", "eip", "rip", "cs_ar", "cs_arbytes",
    "gdtr_limit",
    "0x", "0xffffffff", "<<", "//", *PRESETS, *FORMATS, stream.FORMAT,
)
"""A dictionary for the fuzzer."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def render(template: ContextTemplate) -> None:
    """What a template gives, printed as a file, gives the same."""
    for vcpuid in VCPUIDS:
        value = template.render(vcpuid)
        if isinstance(value, Image):
            assert value.layout.unpack(value.pack()) == value
            try:
                as_context(value)
            except ContextError:
                pass
        for style in STYLES:
            _require_same(value, dump(value, style))


def _require_same(value: Union[VcpuContext, Image], printed: str) -> None:
    """What was printed gives the same; that it is refused is no refusal of the input."""
    try:
        again = loads(printed).render(0)
    except ContextError as error:
        raise AssertionError(f"what is printed is refused: {error}") from error
    assert again == value


def run_expression(data: bytes) -> None:
    """An expression gives an integer of bounded size for every vcpu."""
    found = expression.parse(_text(data))
    values = [found(vcpuid) for vcpuid in VCPUIDS] if isinstance(found, Expression) else [found]
    assert all(isinstance(value, int) and value.bit_length() <= 4 * expression.MAX_LENGTH for value in values)
    assert not isinstance(found, Expression) or all(value.bit_length() <= MAX_BITS for value in values)


def run_context_toml(data: bytes) -> None:
    """A context file in TOML: what it gives, printed, gives the same."""
    render(loads(_text(data)))


def run_context_json(data: bytes) -> None:
    """The same in JSON."""
    render(loads(_text(data), name="context.json"))


def run_stream_file(data: bytes) -> None:
    """A save stream as people edit it."""
    save_stream.join(save_stream.split(stream.to_bytes(source.parse(_text(data)))).records)


def run_world_file(data: bytes) -> None:
    """A world file: what is read, written and read again is the same world."""
    host = worldfile.from_bytes(data)
    again = worldfile.from_bytes(worldfile.to_bytes(host))
    assert worldfile.to_json(again) == worldfile.to_json(host)


def run_kept_file(data: bytes) -> None:
    """A kept capture: what is read is what it was written from."""
    kept = keptfile.parse(data, "kept.json")
    said = {**kept.capture.as_dict(), "left": kept.left.as_dict(), "at": kept.at, "boot": kept.boot}
    assert keptfile.parse(json.dumps(said).encode("ascii"), "kept.json") == kept


def run_terminal(data: bytes) -> None:
    """Names and console lines that others wrote: what a terminal sees has nothing that steers it."""
    wide = data[: len(data) & ~1].decode("utf-16-le", "surrogatepass")
    for text in (_text(data), data.decode("latin-1"), wide):
        shown = output.plain(text)
        assert shown.isprintable() or not shown
        assert all(" " <= c and c != "\x7f" for c in shown)
        assert json.loads(json.dumps(text)) == text and json.dumps(text).isprintable()


def run_release(data: bytes) -> None:
    """The words by which a hypervisor, a world file or a user names a release."""
    text = _text(data)
    assert str(Release.from_hypervisor(4, 17, text))
    found = Release.parse(text)
    assert Release.parse(str(found)) == found or found.minor > Release.parse("staging").minor


def run_register_dump(data: bytes) -> None:
    """Registers that are found in a text are a context file; and what kind a file is can always be asked."""
    text = _text(data)
    filekind.of_bytes(data), filekind.of_text(text)
    for found in registerdump.read(text):
        assert found.line <= text.count("\n") + 1
        for style in STYLES:
            assert loads(written(as_mapping(found.record), style)).render(0) == found.record


def register_dumps() -> Iterable[bytes]:
    """One of each program, and all in one."""
    dumps = [path.read_bytes() for path in sorted(DUMPS.glob("*.txt"))]
    yield from (*dumps, b"\n".join(dumps))


def contexts(style: str) -> Iterable[bytes]:
    """Every preset, every struct, and what presets do not use."""
    for preset in PRESETS.values():
        yield dump(preset(), style).encode()
    for form in FORMATS.values():
        for mode in form.modes or (0,):
            image = form.layout(mode, form.sizes[0]).image({"mode": mode} if form.modes else {})
            yield dump(image, style).encode()
    data = {
        "schema": 1, "description": "each its own", "preset": "long64", "rip": "0x100000 + (vcpuid << 12)",
        "r15": "vcpuid", "cs_arbytes": 0xA9B, "gs_base": "0xffff888000000000", "gdtr_limit": 0x27,
        "fpu_regs": "7f" * 512,
        "msrs": {"0x48": "vcpuid & 1", "0xc0000082": 7},
    }
    yield written(data, style).encode()


def stream_files() -> Iterable[bytes]:
    """A stream with one record of each kind that is understood, and others."""
    found = save_stream.split(save_stream.join([
        save_stream.header(cpuid=0x663), Record(Typecode.CPU, 1, to_cpu_record(PRESETS["pvh"]()).pack()),
        Record(Typecode.CPU_MSR, 1, cpu_msr.encode([(0x48, 1)])), Record(Typecode.LAPIC, 0, b"12345678"),
        Record(99, 1, b""), END,
    ]))
    for style in STYLES:
        yield written(stream.as_mapping(found), style).encode()


def expressions() -> Iterable[bytes]:
    """Expressions of the grammar."""
    for text in (
        "0x80000 + 0x1000 * vcpuid", "~0 & 0xff", "(vcpuid << 4) | 1", "vcpuid // 2 % 3 ^ 1", "-1 + 2", " 0b101 ",
        "1_000", "1 << 64 >> 60", "0o17", "((vcpuid))", "vcpuid % 0",
    ):
        yield text.encode()


def world_files() -> Iterable[bytes]:
    """Two worlds, one of them with a bit of everything."""
    yield worldfile.to_bytes(worlds.lab())
    host = worlds.pvh()
    host.console.print("(d1) line")
    host.named("web").memory.write(0x5FFC, b"across")
    yield worldfile.to_bytes(host)


def kept_files() -> Iterable[bytes]:
    """The capture of a small domain, with and without what a look has shown."""
    header, cpu = Record(Typecode.HEADER, 0, bytes(24)), Record(Typecode.CPU, 0, bytes(cpu_record.SIZE))
    stream_bytes = save_stream.join((header, cpu, END))
    for left, reached in ((Left((0,), (1,), ("its PAT",)), (1,)), (Left((0,), is_known=False), None)):
        capture = Capture(7, uuid.UUID(int=7), Release(17), "start", (1,), stream_bytes, reached)
        said = {**capture.as_dict(), "left": left.as_dict(), "at": 1.5, "boot": "b"}
        yield json.dumps(said).encode("ascii")


def names() -> Iterable[bytes]:
    """What might steer a terminal."""
    for text in (
        "web", "\x1b[2J\x1b]0;title\a", "a\u202eb\u2066c", "\x9b31m", "\u2028", "tab\tcr\rlf\n", "\ud800",
        "\u65e5\u672c",
    ):
        yield text.encode("utf-8", "surrogatepass")


def releases() -> Iterable[bytes]:
    """How releases are written."""
    for text in ("4.17", "4.17.3", "4.20.4-pre", "staging", ".7", ".4-pre", "-unstable", ".0-rc3"):
        yield text.encode()


