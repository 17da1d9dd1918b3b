# SPDX-License-Identifier: MIT
"""How a domain's secondary vcpus start: the one value that every toolstack keeps and acts on.

As a file, TOML or JSON::

    vcpus = "1-3"                 # `all` if left out
    reset = false                 # whether to stop those that run first

    [context]                     # a context file as a table, or its text as a string
    preset = "flat32"
    eip = 0x100000

    [settings]                    # keys of the context given anew, as `--set` does
    esp = "0x80000 + 0x1000 * vcpuid"

A context file is a declaration too: of every vcpu that is down.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from xenvcpu import vcpuset
from xenvcpu.availability import Offline, nobody
from xenvcpu.contextfile import ContextTemplate, hexed, loads, source
from xenvcpu.contextfile.bounds import shown
from xenvcpu.contextfile.template import SCHEMA
from xenvcpu.contextfile.vocabulary import DECLARED, nearest
from xenvcpu.errors import ContextError, ContextFileError

MAX_SIZE = 1 << 16
"""A larger text is no declaration: it must fit where a toolstack keeps it."""

KEYS = ("schema", *DECLARED)
_NONE: Mapping[str, str] = {}


class DeclarationError(ContextFileError):
    """A declaration is wrong: the message names it, the key and what is right."""


@dataclass(frozen=True)
class Declaration:
    """How vcpus of a domain start.

    Attributes:
        context: A context file, as text in TOML or JSON.
        vcpus: Which vcpus: `1-3`, or `all`.
        settings: Keys of the context given anew.
        reset: Whether those of them that run are stopped first, and start again.
        name: What errors call it.
    """

    context: str
    vcpus: str = vcpuset.ALL
    settings: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    name: str = field(default="declaration", compare=False)

    def __post_init__(self) -> None:
        """Check it, so that nobody holds one that cannot be understood.

        Raises:
            ContextFileError: It is wrong, or too large.
        """
        if len(self.context) + sum(len(key) + len(value) for key, value in self.settings.items()) > MAX_SIZE:
            raise self._error("context", "too large", rule="size", remedy=f"at most {MAX_SIZE} characters")
        try:
            named = vcpuset.parse(self.vcpus)
        except ContextError as exc:
            raise self._error("vcpus", str(exc), value=exc.value, rule="type") from exc
        if named is not None and vcpuset.BOOT in named:
            problem = "vcpu 0 is the boot vcpu, which the toolstack starts: declare the others only"
            raise self._error("vcpus", problem, value=self.vcpus, rule="range")
        self.template  # noqa: B018  (reading it checks it)

    def _error(self, key: str, problem: str, **more: Any) -> DeclarationError:
        return _error(self.name, key, problem, **more)

    @cached_property
    def template(self) -> ContextTemplate:
        """What gives each vcpu its context: `template.render(vcpuid)`."""
        try:
            return loads(self.context, self.settings, f"{self.name}: context")
        except ContextFileError as error:
            text = str(error)
            if not text.startswith(f"{source.OVERRIDE}: "):
                raise
            # Nobody has given that option: the setting stands in the declaration.
            raise DeclarationError(
                f"{self.name}: settings.{text[len(source.OVERRIDE) + 2:]}", field=error.field, value=error.value,
                rule=error.rule,
            ) from error

    def vcpuids(self, count: int, offline: Offline = nobody) -> Tuple[int, ...]:
        """The vcpus that it means in a domain of so many; `all` is every one but the boot vcpu and those offline.

        Args:
            count: How many vcpus the domain has.
            offline: Those of them that the toolstack has offline.

        Raises:
            DeclarationError: The domain has no such vcpu.
        """
        return vcpuids(self.vcpus, count, self.name, offline)

    @property
    def is_of_all(self) -> bool:
        """Whether it names no vcpus."""
        return self.vcpus == vcpuset.ALL

    def as_dict(self) -> Dict[str, Any]:
        """The declaration as a JSON value, which `from_mapping` reads."""
        return {
            "schema": SCHEMA, "vcpus": self.vcpus, "reset": self.reset, "context": self.context,
            "settings": dict(self.settings),
        }


def vcpuids(text: str, count: int, name: str = "declaration", offline: Offline = nobody) -> Tuple[int, ...]:
    """The vcpus that a text means in a domain of so many; `all` is every one but the boot vcpu and those offline.

    Raises:
        DeclarationError: It is no set of vcpus, or the domain has no such vcpu.
    """
    try:
        named = vcpuset.parse(text)
    except ContextError as exc:
        raise _error(name, "vcpus", str(exc), value=exc.value, rule="type") from exc
    if named is None:
        secondary = vcpuset.secondary(range(count))
        left = offline(secondary)
        return tuple(vcpuid for vcpuid in secondary if vcpuid not in left)
    if named[-1] >= count:
        has = vcpuset.of_domain(count)
        raise _error(name, "vcpus", f"the domain has {has}, not {named[-1]}", value=text, rule="range")
    return named


def _error(name: str, key: str, problem: str, **more: Any) -> DeclarationError:
    return DeclarationError(f"{name}: {key}: {problem}", field=key, **more)


def from_mapping(data: Mapping[str, Any], name: str = "declaration") -> Declaration:
    """Read a declaration that a program has parsed; without `context` the whole is a context file.

    Raises:
        ContextFileError: A key or value is wrong.
    """
    source.Source(name, data).bounded()
    if "context" not in data:
        return Declaration(_text(data), name=name)
    for key, value in data.items():
        if key not in KEYS:
            close = nearest(key, KEYS)
            remedy = f"did you mean {close}?" if close else f"a declaration has {', '.join(KEYS)}"
            raise _error(name, key, "no such key", value=value, rule="unknown-key", remedy=remedy)
    if data.get("schema", SCHEMA) not in (SCHEMA, str(SCHEMA)):
        raise _error(name, "schema", f"{shown(data['schema'])} is not known", rule="schema")
    context = data["context"]
    text = context if isinstance(context, str) else _text(_typed(name, data, "context", dict, "a table or a text"))
    vcpus = data.get("vcpus", vcpuset.ALL)
    return Declaration(
        text, str(vcpus) if type(vcpus) is int else _typed(name, data, "vcpus", str, "a set such as \"1-3\"", vcpus),
        _settings(name, _typed(name, data, "settings", dict, "a table", data.get("settings", _NONE))),
        _typed(name, data, "reset", bool, "true or false", data.get("reset", False)), name,
    )


def _typed(name: str, data: Mapping[str, Any], key: str, kind: type, meant: str, value: object = None) -> Any:
    value = data[key] if value is None else value
    if not isinstance(value, kind):
        raise _error(name, key, f"{shown(value)} is not {meant}", value=value, rule="type")
    return value


def _settings(name: str, table: Mapping[str, Any]) -> Dict[str, str]:
    for key, value in table.items():
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise _error(name, f"settings.{key}", f"{shown(value)} is not a number or an expression", rule="type")
    return {key: value if isinstance(value, str) else hex(value) for key, value in table.items()}


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(hexed(data), indent=1)


def parse(text: str, name: str = "declaration") -> Declaration:
    """Read a declaration from its text, TOML or JSON; a context file is kept to the letter.

    Raises:
        ContextFileError: It is too large, or a key or value is wrong.
    """
    if len(text) > MAX_SIZE:
        raise DeclarationError(f"{name}: larger than {MAX_SIZE} characters", rule="size")
    data = source.parse(text, name).data
    return from_mapping(data, name) if "context" in data else Declaration(text, name=name)


def read(path: Union[str, os.PathLike[str]]) -> Declaration:
    """Read a declaration, or a context file, from a file; `-` is stdin.

    Raises:
        ContextFileError: It cannot be read, is too large, or a key or value is wrong.
    """
    found = source.read(path, MAX_SIZE)
    return parse(found.text, found.name)


def override(
    found: Declaration, vcpus: Optional[str] = None, settings: Mapping[str, str] = _NONE, reset: bool = False
) -> Declaration:
    """A declaration with something given anew, as a command line does. Raises as `Declaration` does."""
    return Declaration(
        found.context, vcpus or found.vcpus, {**found.settings, **settings}, reset or found.reset, found.name
    )
