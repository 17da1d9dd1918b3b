# SPDX-License-Identifier: MIT
"""Many contexts: a JSON object a line on stdin, a verdict a line on stdout, in the same order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from xenvcpu.abi.layout import Image
from xenvcpu.cli.judging import STRUCTS, Question, as_dict, verdicts
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile import from_mapping
from xenvcpu.contextfile.source import MAX_SIZE
from xenvcpu.errors import XenVcpuError
from xenvcpu.rules.features import Interface

BYTES, CONTEXT = "bytes", "context"


def _lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """The lines; None for one that is longer than a context file may be."""
    while True:
        line = stream.readline(MAX_SIZE + 1)
        if not line:
            return
        if len(line) <= MAX_SIZE or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = stream.readline(MAX_SIZE)
        yield None


def _value(line: bytes | None, question: Question) -> VcpuContext | Image:
    if line is None:
        raise ValueError(f"longer than {MAX_SIZE} bytes")
    try:
        data: Any = json.loads(line)
    except ValueError as exc:
        raise ValueError(f"not JSON: {exc}") from exc
    if not isinstance(data, dict) or len(data) != 1 or not {BYTES, CONTEXT} & set(data):
        raise ValueError('a line is {"bytes": HEX} or {"context": {...}}')
    if CONTEXT in data:
        if not isinstance(data[CONTEXT], dict):
            raise ValueError("context must be an object")
        return from_mapping(data[CONTEXT], name=CONTEXT).render(question.vcpuid)
    if not isinstance(data[BYTES], str):
        raise ValueError("bytes must be a string of hex digits")
    return STRUCTS[question.interface or Interface.VCPUOP].decode(bytes.fromhex(data[BYTES]))


def judge_lines(question: Question) -> bool:
    """Judge stdin line by line.

    Returns:
        False when a line could not be judged.
    """
    is_good = True
    for number, line in enumerate(_lines(sys.stdin.buffer), 1):
        try:
            said = as_dict(verdicts(_value(line, question), question)[1])
        except (XenVcpuError, ValueError, RecursionError) as exc:
            is_good, said = False, {"error": f"line {number}: {exc}"}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
    return is_good
