# SPDX-License-Identifier: MIT
"""All rules and lints as a list, for documents and for people who ask what a name means."""

from __future__ import annotations

from typing import Dict, Iterator, NamedTuple, Tuple

from xenvcpu.rules import advice, cpu_record, entry, host, vcpuop
from xenvcpu.rules.features import Interface
from xenvcpu.rules.release import Since
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
        releases: The releases in which it holds; `.text` says them for people.
        hardware: `VT-x`, `SVM`, or an empty string when it holds on both.
        sources: Where it stands; of a rule that both interfaces have, in each.
        summaries: What must be, and how to get it; where that depends on the field, for each.
    """

    name: str
    level: Level
    interfaces: Tuple[Interface, ...]
    fields: Tuple[str, ...]
    releases: Since
    hardware: str
    sources: Tuple[str, ...]
    summaries: Tuple[str, ...]


def _all() -> Iterator[Tuple[Rule, Tuple[Interface, ...]]]:
    yield from ((rule, (Interface.VCPUOP,)) for rule in vcpuop.rules())
    yield from ((rule, (Interface.DOMCTL,)) for rule in cpu_record.rules())
    yield from ((rule, (Interface.DOMCTL,)) for rule in host.RULES)
    yield from ((rule, _BOTH) for rule in (*entry.RULES, *advice.RULES))


def _merged(old: Entry, new: Entry) -> Entry:
    return old._replace(
        interfaces=tuple(interface for interface in Interface if interface in old.interfaces + new.interfaces),
        fields=tuple(dict.fromkeys(old.fields + new.fields)),
        sources=tuple(dict.fromkeys(old.sources + new.sources)),
        summaries=tuple(dict.fromkeys(old.summaries + new.summaries)),
    )


OUTSIDE = ("msr-not-loadable", "xss-not-zero", "nested-hvm")
"""Rules that look at more than one context: at a CPU_MSR record, and at the vcpus that are online."""


def names() -> Tuple[str, ...]:
    """The names of all rules that may refuse something, each once."""
    refusing = (entry.name for entry in catalogue() if entry.level is not Level.WARNING)
    return tuple(dict.fromkeys((*refusing, *OUTSIDE)))


def catalogue() -> Tuple[Entry, ...]:
    """Every rule once, in Xen's order, lints last; the fields that share a rule are joined."""
    found: Dict[Tuple[str, Level], Entry] = {}
    for rule, interfaces in _all():
        entry_ = Entry(
            rule.name, rule.level, interfaces, rule.fields[:1], rule.releases, rule.hardware, (rule.source,),
            (f"{rule.needed}; {rule.remedy}",),
        )
        key = rule.name, rule.level
        found[key] = _merged(found[key], entry_) if key in found else entry_
    return tuple(found.values())
