# SPDX-License-Identifier: MIT
"""The rows of the rules' tables, as recipes name them, and whether the checker sees what a recipe was made for."""

from __future__ import annotations

from dataclasses import replace
from typing import Dict, Iterator, List, Mapping, Sequence, Tuple

from integration.verdicts import lints, probes
from integration.verdicts.bases import BASES
from integration.verdicts.judge import FEATURES
from integration.verdicts.recipe import BROKEN, FAR, RECORD, VCPUOP, Claim, Recipe
from verdicts import replaying
from xenvcpu.abi.layout import Image
from xenvcpu.rules import advice, check, cpu_record, entry, host, state, vcpuop
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.rules.rule import Rule
from xenvcpu.rules.verdict import Level, Verdict

Key = Tuple[str, str, str]
"""Table, name, first field."""


def _tables() -> Iterator[Tuple[str, Rule]]:
    yield from ((VCPUOP, rule) for rule in vcpuop.rules())
    yield from ((RECORD, rule) for rule in cpu_record.rules())
    # No Xen of the lab is a debug build: what these assert has tests of its own, in tests/rules.
    yield from (("host", rule) for rule in host.RULES if not rule.is_of_debug_builds)
    yield from (("entry", rule) for rule in entry.RULES)
    yield from (("advice", rule) for rule in advice.RULES)


def _by_key() -> Dict[Key, List[Rule]]:
    found: Dict[Key, List[Rule]] = {}
    for table, rule in _tables():
        rows = found.setdefault((table, rule.name, rule.fields[0]), [])
        if not any(row is rule for row in rows):
            rows.append(rule)
    return found


PROBES: Sequence[Recipe] = (
    *probes.of_contexts(), *probes.of_records(), *lints.of_interface(VCPUOP), *lints.of_interface(RECORD),
)
"""The recipes that were made by hand for a row, whether a Xen has judged them yet or not."""

ROWS: Mapping[Key, Sequence[Rule]] = _by_key()
"""All rows; the same thing in the tables of both modes stands together."""


def of_claim(interface: str, claim: Claim) -> Tuple[str, Sequence[Rule]]:
    """The table and the rows that a recipe was made for.

    Raises:
        KeyError: There are none.
    """
    for table in (interface, "host", "entry", "advice"):
        if (table, claim.rule, claim.field) in ROWS:
            return table, ROWS[table, claim.rule, claim.field]
    raise KeyError(claim)


def _judged(rows: Sequence[Rule], release: Release, features: Features) -> Iterator[Tuple[Release, Features]]:
    """By what a row is looked at: as recorded; a lint, and what the release lacks, by all that have it."""
    holding = [known for known in reversed(KNOWN) if any(known in row.releases for row in rows)]
    if rows[0].level is not Level.REJECTED:
        yield from ((known, UNKNOWN) for known in holding)
    else:
        yield (release if any(release in row.releases for row in rows) else holding[0]), features


def _finds(recipe: Recipe, image: Image, release: Release, features: Features, vcpuid: int) -> bool:
    assert recipe.claim is not None
    judge = check.check_record if recipe.interface == RECORD else check.check_context
    verdict: Verdict = judge(image, release, features, vcpuid)
    field = recipe.claim.field
    if recipe.interface == VCPUOP and image["mode"] in (0, 1):
        field = state.of_context(image, release, features).field(field)
    return any(found.rule == recipe.claim.rule and found.field == field for found in verdict.findings)


def is_found(recipe: Recipe, image: Image, release: Release, features: Features, vcpuid: int) -> bool:
    """Whether the checker finds what a recipe was made for; a lint, in some release that has it."""
    assert recipe.claim is not None
    _, rows = of_claim(recipe.interface, recipe.claim)
    places = _judged(rows, release, features)
    return any(_finds(recipe, image, judged, given, vcpuid) for judged, given in places)


def is_seen(probe: Recipe, release: str) -> bool:
    """Whether the checker finds what a probe breaks, or does not find what it keeps."""
    assert probe.claim is not None
    given = Features(**FEATURES[probe.domain])  # type: ignore[arg-type]
    features = replace(given, registered_vcpu_info=probe.target != FAR)
    vcpuid = replaying.VCPUIDS[probe.target]
    found = is_found(probe, probe.image(BASES), Release.parse(release), features, vcpuid)
    return found is (probe.claim.side == BROKEN)
