# SPDX-License-Identifier: MIT
"""A decoder that answers wrongly is a crash of its target, and so is a refusal that does not say enough."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import pytest

from integration.lab import elf
from tests.fuzz import edits, texts
from tests.fuzz.target import MESSAGE_MAX, Target, table
from xenvcpu import keptfile
from xenvcpu.abi import cpu_msr, domain_info, save_stream
from xenvcpu.abi.layout import Image
from xenvcpu.cli import output
from xenvcpu.contextfile import expression, registerdump, stream
from xenvcpu.errors import ContextError, FormatError
from xenvcpu.model import load, worldfile, worlds
from xenvcpu.model.answer import Refused
from xenvcpu.rules.release import Release
from xenvcpu.savedstate import SavedState

Wrong = Callable[[Any], Callable[..., Any]]
BIG = worldfile.to_bytes(worlds.big())
TARGETS = {target.name: target for target in table()}


def more(real: Any) -> Callable[..., Any]:
    """The bytes, and one more."""
    return lambda *arguments: real(*arguments) + b"\0"


def answering(value: object) -> Wrong:
    """One answer to everything."""
    return lambda real: lambda *arguments, **named: value


def raising(error: Exception) -> Wrong:
    """An error, whatever is asked."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return lambda real: fail


class Fault(NamedTuple):
    """What is wrong: the target that has to notice, where the function is, its name, and what it does instead."""

    target: str
    of: Any
    name: str
    wrong: Wrong


FAULTS = (
    Fault("save_stream", save_stream, "join", more),
    Fault("save_stream", stream, "to_bytes", more),
    Fault("saved_state", SavedState, "restoring_stream", raising(ValueError())),
    Fault("saved_state", SavedState, "tsc", lambda real: property(lambda state: b"")),  # type: ignore[arg-type,return-value]
    *(Fault(name, Image, "pack", more) for name in ("cpu_record", "vcpu_hvm_context", "draft2015", "xsave")),
    Fault("cpu_msr", cpu_msr, "encode", more),
    Fault("information", domain_info, "encode", raising(ValueError())),
    Fault("elf", elf, "needed", answering(["../libc.so.6"])),
    Fault("model_load", load, "load", raising(Refused(0))),
    Fault("model_load", load, "load", raising(KeyError())),
    Fault("expression", expression, "parse", answering(1 << 9999)),
    *(Fault(name, texts, "dump", answering("")) for name in ("context_toml", "context_json")),
    Fault("stream_file", stream, "to_bytes", raising(TypeError())),
    *(Fault(name, worldfile, "to_bytes", answering(BIG)) for name in ("world_file", "world_edits")),
    Fault("kept_file", keptfile, "parse", raising(UnicodeDecodeError("ascii", b"", 0, 1, ""))),
    Fault("context_edits", edits, "from_mapping", raising(ContextError("says no field"))),
    Fault("record_edits", stream, "to_bytes", raising(RecursionError())),
    Fault("register_dump", registerdump, "read", raising(UnicodeDecodeError("ascii", b"", 0, 1, ""))),
    Fault("register_dump", texts, "written", answering("eip = 1")),
    Fault("terminal", output, "plain", lambda real: lambda text: text),
    Fault("release", Release, "parse", raising(IndexError())),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.target}-{fault.name}")
def test_a_wrong_answer_is_a_crash(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS[fault.target]
    seeds = list(target.seeds())
    monkeypatch.setattr(fault.of, fault.name, fault.wrong(getattr(fault.of, fault.name)))
    crashes = []
    for seed in seeds:
        try:
            target.examine(seed)
        except Exception as error:
            crashes.append(error)
    assert crashes


def test_every_target_is_shown_a_wrong_answer() -> None:
    assert {fault.target for fault in FAULTS} == set(TARGETS)


def refusing(error: Exception) -> Target:
    """A target that refuses everything in one way."""
    return Target("any", raising(error)(None), (FormatError, ContextError), list, 9, has_offset=True)


@pytest.mark.parametrize("offset", [0, 3])
def test_a_refusal_that_says_where_is_fine(offset: int) -> None:
    refusing(FormatError("cut off", offset=offset)).examine(b"abc")


@pytest.mark.parametrize("error", [
    FormatError("", offset=0), FormatError("x" * (MESSAGE_MAX + 1), offset=0), FormatError("no offset"),
    FormatError("before", offset=-1), FormatError("behind", offset=4), ContextError("no offset"), ValueError("untyped"),
], ids=lambda error: str(error)[:9])
def test_a_refusal_that_says_too_little_or_too_much_is_a_crash(error: Exception) -> None:
    with pytest.raises((AssertionError, ValueError)):
        refusing(error).examine(b"abc")
