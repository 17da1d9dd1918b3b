# SPDX-License-Identifier: MIT
"""A save stream as a file that people can read and change, and back to the same bytes.

A record whose payload is understood is printed by field, any other as hex; what is
understood is printed so only where that loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable

from xenvcpu.abi import cpu_msr, cpu_record, save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import HEADER_LAYOUT, Record, Stream, Typecode
from xenvcpu.contextfile.source import Source
from xenvcpu.contextfile.template import SCHEMA, ContextTemplate, read_msrs, understand
from xenvcpu.contextfile.values import constant, hex_bytes
from xenvcpu.contextfile.vocabulary import FPU, LENGTH, MSRS
from xenvcpu.errors import XenVcpuError

FORMAT = "save_stream"
RECORDS, TYPECODE, INSTANCE, PAYLOAD, TRAILING = "records", "typecode", "instance", "payload", "trailing"
_BITS_16 = 16
_RECORD_KEYS = (TYPECODE, INSTANCE, PAYLOAD)


def as_mapping(stream: Stream) -> dict[str, Any]:
    """The keys and values of the file that holds a save stream."""
    data: dict[str, Any] = {"schema": SCHEMA, "format": FORMAT}
    if stream.trailing:
        data[TRAILING] = stream.trailing.hex()
    data[RECORDS] = [_of_record(record) for record in stream.records]
    return data


def _of_record(record: Record) -> dict[str, Any]:
    # A known type has its name, a number that we do not know stays a number.
    typecode = record.name if record.name.isidentifier() else record.typecode
    data: dict[str, Any] = {TYPECODE: typecode, INSTANCE: record.instance}
    fields = _FIELDS.get(record.typecode)
    if fields is not None:
        understood = fields(record.payload)
        if understood and _payload(Source("", {}), record.typecode, understood) == record.payload:
            return {**data, **understood}
    return {**data, PAYLOAD: record.payload.hex()} if record.payload else data


def _of_image(image: Image) -> dict[str, Any]:
    return {**image.values, **({FPU: image.rest.hex()} if any(image.rest) else {})}


def _of_cpu(payload: bytes) -> dict[str, Any]:
    for layout in (cpu_record.LAYOUT, cpu_record.LAYOUT_46):
        if len(payload) == layout.size:
            length = {} if layout is cpu_record.LAYOUT else {LENGTH: layout.size}
            return {**length, **_of_image(layout.unpack(payload))}
    return {}


def _of_header(payload: bytes) -> dict[str, Any]:
    return _of_image(HEADER_LAYOUT.unpack(payload)) if len(payload) == HEADER_LAYOUT.size else {}


def _of_msrs(payload: bytes) -> dict[str, Any]:
    try:
        return {MSRS: {hex(index): value for index, value in cpu_msr.decode(payload)}}
    except XenVcpuError:
        return {}


_FIELDS: Mapping[int, Callable[[bytes], dict[str, Any]]] = {
    Typecode.HEADER: _of_header, Typecode.CPU: _of_cpu, Typecode.CPU_MSR: _of_msrs,
}


def to_bytes(source: Source) -> bytes:
    """The save stream that a file describes.

    Raises:
        ContextFileError: A key or value is wrong; the message says in which record.
    """
    for key, value in source.data.items():
        if key not in ("schema", "format", "description", TRAILING, RECORDS):
            raise source.error(key, "no such key", value=value, rule="unknown-key", remedy="a save stream has records")
    listed = source.data.get(RECORDS, [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise source.error(RECORDS, "must be an array of records", value=listed, rule="type")
    trailing = hex_bytes(source, TRAILING, source.data.get(TRAILING, ""))
    return save_stream.join(_record(source, number, item) for number, item in enumerate(listed)) + trailing


def _record(source: Source, number: int, item: Mapping[str, Any]) -> Record:
    inner = Source(f"{source.name}: {RECORDS}[{number}]", item)
    name = item.get(TYPECODE)
    known = {kind.name: int(kind) for kind in Typecode}
    if isinstance(name, str) and name in known:
        typecode = known[name]
    else:
        typecode = constant(inner, TYPECODE, None, _BITS_16)
    instance = constant(inner, INSTANCE, 0, _BITS_16)
    return Record(typecode, instance, _payload(inner, typecode, item))


def _payload(source: Source, typecode: int, item: Mapping[str, Any]) -> bytes:
    fields = {key: value for key, value in item.items() if key not in _RECORD_KEYS}
    inner = Source(source.name, fields)
    if PAYLOAD in item:
        for key in fields:
            raise inner.error(key, "stands beside a payload", rule="duplicate", remedy="give the fields or the payload")
        return hex_bytes(source, PAYLOAD, item[PAYLOAD])
    if not fields:
        return b""
    if typecode == Typecode.CPU:
        return _rendered(understand(Source(source.name, {**fields, "format": "cpu_record"}))).pack()
    if typecode == Typecode.HEADER:
        numbers = {key: constant(inner, key, None, 8 * _header_size(inner, key)) for key in fields}
        return HEADER_LAYOUT.image(numbers).pack()
    if typecode == Typecode.CPU_MSR and set(fields) == {MSRS}:
        return cpu_msr.encode((index, number.at(inner, 0)) for index, number in read_msrs(inner, fields[MSRS]))
    key = next(iter(fields))
    raise inner.error(key, "no such key", rule="unknown-key", remedy=f"give the record's bytes as {PAYLOAD}")


def _header_size(source: Source, key: str) -> int:
    if key not in HEADER_LAYOUT.fields:
        raise source.error(
            key, "HEADER has no such field", rule="unknown-key", remedy=f"it has {', '.join(HEADER_LAYOUT.fields)}"
        )
    return HEADER_LAYOUT.fields[key].size


def _rendered(template: ContextTemplate) -> Image:
    image = template.render(0)
    assert isinstance(image, Image)
    return image
