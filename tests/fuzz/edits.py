# SPDX-License-Identifier: MIT
"""Files whose syntax is right and whose contents are not: four bytes of input are one edit of a good file.

Mutated text seldom gets past the parser of JSON; what lies behind it is reached this way.
"""

from __future__ import annotations

import base64
import copy
import json
import struct
import zlib
from functools import lru_cache
from typing import Any, Dict, Iterable, Iterator, List, Tuple

from tests.fuzz.texts import render
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.presets import PRESETS
from xenvcpu.contextfile import FORMATS, from_mapping, stream
from xenvcpu.contextfile.source import Source
from xenvcpu.contextfile.vocabulary import CONTROL, FPU, LENGTH, MSRS, REST, keys
from xenvcpu.errors import ContextError
from xenvcpu.model import save, worldfile, worlds
from xenvcpu.savedstate import SavedState

_EDIT = struct.Struct("<HBB")
_Place = Tuple[Any, Any]
"""A table or an array, and the key or index in it."""


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


@lru_cache(maxsize=None)
def _values() -> List[Any]:
    """What stands in the place of a good value."""
    numbers = [0, 1, -1, 2, 4, 127, 128, 129, 0xFFF, 2**16, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64, 2**200]
    texts = [
        "", "0", "-1", "0x1", "0xffffffffffffffff", "0x1" + "0" * 40, "ffff", "vcpuid", "vcpuid << 40", "1 // vcpuid",
        "~0", "0x7fffffff", "00" * 512, "a\x1b[2Jb\u202e\ud800", "x" * 5000, "4.99", "4.7", "staging", "pv", "amd",
        "00000000-0000-0000-0000-000000000000", *PRESETS, *FORMATS, "32B", "64B", "CPU", "HEADER", "CPU_MSR", "END",
    ]
    sizes = (0, 512, 4096, 4097, 1 << 27)
    packed = [_packed(data) for data in (b"\1\0\0\0\xff\xff\xff\xff", *map(bytes, sizes))]
    others: List[Any] = [None, True, False, 1.5, 1e999, [], {}, [[]], [1], [{}], {"0x48": "vcpuid"}, {"a": {"b": 1}}]
    return [*numbers, *texts, *packed, *others]


def _places(found: Any) -> Iterator[_Place]:
    waiting = [found]
    while waiting:
        holder = waiting.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], (dict, list)):
                waiting.append(holder[key])


def edited(found: Any, data: bytes, names: List[str]) -> Any:
    """A copy with some values replaced, doubled, taken out or put in."""
    found, values = copy.deepcopy(found), _values()
    for which, what, how in _EDIT.iter_unpack(data[: len(data) // _EDIT.size * _EDIT.size][:64]):
        places = list(_places(found))
        if not places:
            break
        holder, key = places[which % len(places)]
        value = copy.deepcopy(values[what % len(values)])
        if how % 4 == 0:
            holder.pop(key)
        elif how % 4 == 1 and isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[key]) for _ in range(1 << how % 11))
        elif how % 4 == 2 and isinstance(holder, dict):
            holder[names[how % len(names)]] = value
        else:
            holder[key] = value
    return found


@lru_cache(maxsize=None)
def _worlds() -> List[Any]:
    host = worlds.pvh()
    host.named("web").memory.write(0x5FFC, b"across")
    return [worldfile.to_json(host), worldfile.to_json(worlds.lab())]


def run_world_edits(data: bytes) -> None:
    """A world that is JSON, and is read, or refused, in its own time and memory."""
    found = edited(_worlds()[len(data) % 2], data, ["fpu_regs", "memory", "cpu", "xsave", "0x1", "-1", "rip", "zz"])
    host = worldfile.from_bytes(json.dumps(found).encode())
    again = worldfile.to_json(worldfile.from_bytes(worldfile.to_bytes(host)))
    assert again == worldfile.to_json(host)
    for domain in host.domains.values():
        if domain.is_hvm and not domain.is_dying:
            SavedState.parse(save.save(host, domain), host.release)


_CONTEXTS: Tuple[Dict[str, Any], ...] = (
    {}, {"preset": "long64"}, {"format": "cpu_record"}, {"mode": "64B", MSRS: {"0x48": 1}},
    {"format": "draft2015", "mode": "32B"},
)
_RECORDS = [
    {"typecode": "HEADER", "cpuid": 0x663}, {"typecode": "CPU", "instance": 1, "rip": 1},
    {"typecode": "CPU_MSR", MSRS: {"0x48": 1}}, {"typecode": 99, "payload": "00"}, {"typecode": "END"},
]


def run_context_edits(data: bytes) -> None:
    """Any keys with any values: a context, an image or a save stream, or an error that names the key."""
    known = [*keys(Mode(len(data) % 2)), *CONTROL, "format", FPU, MSRS, LENGTH, REST, "records", "cs_arbytes", "pad"]
    start = {"schema": 1, **_CONTEXTS[sum(data[:1]) % len(_CONTEXTS)]}
    try:
        render(from_mapping(edited(start, data, known)))
    except ContextError as error:
        assert error.field or error.rule in ("file", "syntax"), str(error)
        raise


def run_record_edits(data: bytes) -> None:
    """The records of a stream file with any keys and values."""
    known = [*keys(Mode.VCPU_HVM_MODE_64B), "typecode", "instance", "payload", MSRS, FPU, LENGTH, "magic", "cpuid"]
    start = {"format": stream.FORMAT, "records": _RECORDS}
    stream.to_bytes(Source("file", edited(start, data, known)).bounded())


def edits() -> Iterable[bytes]:
    """Each kind of edit, and one of each value."""
    for number in range(len(_values())):
        yield _EDIT.pack(number * 7, number, number) + _EDIT.pack(number, number, 3)
