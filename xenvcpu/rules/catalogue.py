# SPDX-License-Identifier: MIT
"""All rules and lints as a list, for documents and for people who ask what a name means."""

from __future__ import annotations

from typing import Dict, Iterator, NamedTuple, Tuple

from xenvcpu.rules import advice, cpu_record, entry, vcpuop
from xenvcpu.rules.features import Interface
from xenvcpu.rules.rule import Rule
from xenvcpu.rules.verdict import Level

_BOTH = tuple(Interface)


class Entry(NamedTuple):
    """One rule.

    Attributes:
        name: Its name.
        level: What follows when it is broken.
        interfaces: Where it holds; `vcpuop`, `domctl` or both.
        fields: The fields that findings name.
        releases: The releases in which it holds, for people.
        hardware: `VT-x`, `SVM`, or an empty string when it holds on both.
        source: Where it stands.
        summary: What must be, and how to get it.
    """

    name: str
    level: Level
    interfaces: Tuple[Interface, ...]
    fields: Tuple[str, ...]
    releases: str
    hardware: str
    source: str
    summary: str


def _all() -> Iterator[Tuple[Rule, Tuple[Interface, ...]]]:
    yield from ((rule, (Interface.VCPUOP,)) for rule in vcpuop.rules())
    yield from ((rule, (Interface.DOMCTL,)) for rule in cpu_record.rules())
    yield from ((rule, _BOTH) for rule in (*entry.RULES, *advice.RULES))


def _merged(old: Entry, new: Entry) -> Entry:
    return old._replace(
        interfaces=tuple(interface for interface in Interface if interface in old.interfaces + new.interfaces),
        fields=tuple(dict.fromkeys(old.fields + new.fields)),
    )


def catalogue() -> Tuple[Entry, ...]:
    """Every rule once, in Xen's order, lints last; the fields that share a rule are joined."""
    found: Dict[Tuple[str, Level], Entry] = {}
    for rule, interfaces in _all():
        entry_ = Entry(
            rule.name, rule.level, interfaces, rule.fields[:1], rule.releases.text, rule.hardware, rule.source,
            f"{rule.needed}; {rule.remedy}",
        )
        key = rule.name, rule.level
        found[key] = _merged(found[key], entry_) if key in found else entry_
    return tuple(found.values())
