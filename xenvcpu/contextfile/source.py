# SPDX-License-Identifier: MIT
"""Where a context comes from: a file, stdin or a text, in TOML or JSON; and errors that say so."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from xenvcpu.contextfile import bounds, filekind
from xenvcpu.contextfile.vocabulary import MSRS, canonical
from xenvcpu.errors import ContextFileError, LibraryMissingError

MAX_SIZE = 1 << 20
"""A larger file is no context file."""

STDIN = "-"
OVERRIDE = "--set"
_MAX_DIGITS = 100


@dataclass(frozen=True)
class Source:
    """The contents of a context file before they are understood.

    Attributes:
        name: What errors call the file.
        data: Its keys and values, overrides included.
        text: The file itself, to find lines in.
        overridden: The keys that an override gave.
    """

    name: str
    data: Mapping[str, Any]
    text: str = ""
    overridden: frozenset[str] = frozenset()

    def where(self, key: str) -> str:
        """The file, and the line where it is cheap to tell."""
        if key in self.overridden:
            return OVERRIDE
        for name in (key.rpartition(".")[2], key.partition(".")[0]):
            if not name or name != name.strip():
                continue  # among blanks it could stand in many places, and trying them all takes long
            match = re.search(rf'^[ \t{{,]*"?{re.escape(name)}"?[ \t]*[=:]', self.text, re.MULTILINE)
            if match is not None:
                return f"{self.name}:{self.text.count(chr(10), 0, match.end()) + 1}"
        return self.name

    def error(
        self, key: str, problem: str, *, value: object = None, rule: str = "", remedy: str = ""
    ) -> ContextFileError:
        """An error about one key of this file."""
        kept = bounds.cut(value) if isinstance(value, str) else value
        return ContextFileError(
            f"{self.where(key)}: {key}: {problem}", field=key, value=kept, rule=rule, remedy=remedy
        )

    def bounded(self) -> Source:
        """This source.

        Raises:
            ContextFileError: It goes beyond what any context file has.
        """
        found = bounds.excess(self.data)
        if found is not None:
            raise self.error(str(found.key), found.problem, rule="size", remedy="no context file has that")
        return self

    def override(self, changes: Iterable[tuple[str, object]]) -> Source:
        """A copy in which some keys are given anew; `msrs.0x10` reaches into the table."""
        data, given = dict(self.data), set(self.overridden)
        for key, value in changes:
            table, _, index = key.partition(".")
            given.add(key)
            if table == MSRS and index:
                kept = {name: old for name, old in _table(data.get(MSRS)).items() if name.lower() != index.lower()}
                data[MSRS] = {**kept, index: value}
                continue
            data = {name: old for name, old in data.items() if canonical(name) != canonical(key)}
            data[key] = value
        return Source(self.name, data, self.text, frozenset(given))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def read(path: str | os.PathLike[str], limit: int = MAX_SIZE) -> Source:
    """Read a context file; `-` is stdin.

    Raises:
        ContextFileError: It cannot be read, is larger than `limit`, or is not TOML or JSON.
    """
    name = os.fspath(path)
    shown = "<stdin>" if name == STDIN else name
    try:
        if name == STDIN:
            raw = sys.stdin.buffer.read(limit + 1)
        else:
            with open(name, "rb") as file:
                raw = file.read(limit + 1)
    except OSError as exc:
        raise ContextFileError(f"{shown}: {exc.strerror or exc}", value=name, rule="file") from exc
    is_large = len(raw) > limit
    kind = filekind.of_bytes(raw) or (filekind.of_text(raw.decode("utf-8", "replace")) if is_large else None)
    if kind is not None:
        raise _of_kind(shown, kind)
    if is_large:
        raise ContextFileError(f"{shown}: larger than {limit} bytes", rule="file", remedy="a context file is small")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ContextFileError(
            f"{shown}: not text (byte {exc.start})", rule="file", remedy="`xenvcpu decode` reads binary structs"
        ) from exc
    return parse(text, shown)


def parse(text: str, name: str = "<text>") -> Source:
    """Read a context file from its text; one that starts with a brace is JSON, any other TOML.

    Raises:
        ContextFileError: It is not what it looks like.
    """
    is_json = name.endswith(".json") or text.lstrip().startswith("{")
    try:
        data = _json(text, name) if is_json else _toml(text, name)
    except ContextFileError as exc:
        kind = filekind.of_text(text)
        if kind is None:
            raise
        raise _of_kind(name, kind) from exc
    return Source(name, data, text).bounded()


def _of_kind(name: str, kind: filekind.Kind) -> ContextFileError:
    return ContextFileError(f"{name}: {kind}, not a context file", rule="file", remedy=kind.remedy)


def _fail(name: str, problem: object) -> NoReturn:
    raise ContextFileError(f"{name}: {problem}", rule="syntax")


def _json(text: str, name: str) -> Mapping[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in items:
            if key in table:
                _fail(name, f"{bounds.cut(key)} stands twice")
            table[key] = value
        return table

    def integer(digits: str) -> int:
        return int(digits) if len(digits) <= _MAX_DIGITS else _fail(name, f"a number of {len(digits)} digits")

    try:
        data = json.loads(text, object_pairs_hook=pairs, parse_int=integer)
    except (ValueError, RecursionError) as exc:
        if isinstance(exc, ContextFileError):
            raise
        _fail(name, f"not JSON: {exc}")
    if not isinstance(data, dict):
        _fail(name, "a context in JSON is an object")
    return data


def _toml(text: str, name: str) -> Mapping[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as exc:
            raise LibraryMissingError(
                "reading TOML needs tomli before Python 3.11: pip install tomli, or write the file in JSON"
            ) from exc
    found = bounds.dotted(text)
    if found is not None:
        _fail(f"{name}:{found.line}", f"not TOML for a vcpu: {found.problem} without an equals sign between")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        _fail(name, f"not TOML: {exc}")
