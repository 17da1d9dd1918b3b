# SPDX-License-Identifier: MIT
"""A remedy can be followed: what it gives fits the field and mends it, and it names no field that is not there."""

from __future__ import annotations

import re
from typing import Iterator, List, Set, Tuple

import pytest

from integration.verdicts import lints, probes
from integration.verdicts.bases import BASES
from integration.verdicts.recipe import BROKEN, RECORD, VCPUOP, Changes, Recipe
from xenvcpu.abi.layout import Image
from xenvcpu.rules import advice, check, cpu_record, entry, vcpuop
from xenvcpu.rules.features import UNKNOWN, Features
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.rules.verdict import Finding

RELEASES = (KNOWN[-1], Release(14), Release(8, 4), Release(7, 6))
POOR = Features(cr4_valid=0x7FC, efer_valid=0)
_GIVE = re.compile(r"give (?:it |both |only |\w+ )?(?:the limit |attributes |limit )?(0x[0-9a-f]+|0|0x\w+)\b")
_GIVE_LIMIT = re.compile(r"give (CS|SS) the limit (0x[0-9a-f]+)")
_MORE = re.compile(r"(?:, | or )(0x[0-9a-f]+|0) (?:for|with|once)")
_BIT = re.compile(r"(set|clear) (?:\w+ )?bit (\d+)(?! of RFLAGS)\b")
_FIELD = re.compile(r"\b(?:[c-gs]s|tr|ldtr|gdtr|idtr)_(?:base|limit|ar|arbytes|sel)\b")


def judge(image: Image, release: Release, features: Features) -> Tuple[Finding, ...]:
    judged = check.check_context if "mode" in image.values else check.check_record
    return judged(image, release, features, 1).findings


def broken() -> Iterator[Tuple[Recipe, Image, Release, Features, Finding]]:
    """Each probe that breaks a rule, with the finding of the first release and policy that has it."""
    made = (*probes.of_contexts(), *probes.of_records(), *lints.of_interface(VCPUOP), *lints.of_interface(RECORD))
    for probe in made:
        claim = probe.claim
        if claim is None or claim.side != BROKEN:
            continue
        image = probe.image(BASES)
        places = [(release, features) for release in RELEASES for features in (UNKNOWN, POOR)]
        for release, features in places:
            found = [each for each in judge(image, release, features) if each.rule == claim.rule]
            if found:
                yield probe, image, release, features, found[0]
                break


REMEDIES = {
    rule.remedy for rule in (*vcpuop.rules(), *cpu_record.rules(), *entry.RULES, *advice.RULES)
}


def remedy(finding: Finding) -> str:
    """The last part of the message."""
    return max((known for known in REMEDIES if finding.message.endswith(known)), key=len)


def followed(finding: Finding, image: Image) -> List[Changes]:
    """The changes that a remedy asks for, as far as a program can read that; each of them is to do."""
    text, field = remedy(finding), finding.field
    limits = [{f"{name.lower()}_limit": int(number, 0)} for name, number in _GIVE_LIMIT.findall(text)]
    if limits:
        return limits
    bits = [(verb, 1 << int(number)) for verb, number in _BIT.findall(text)]
    values = [int(number, 0) for number in (*_GIVE.findall(text), *_MORE.findall(text))]
    values += [image[field] | bit if verb == "set" else image[field] & ~bit for verb, bit in bits]
    return [{field: value} for value in values]


CASES = list(broken())
FOLLOWABLE = [case for case in CASES if case[4].field in case[1].values and followed(case[4], case[1])]


def test_most_rules_have_a_remedy_that_a_program_can_follow() -> None:
    assert len({case[4].rule for case in FOLLOWABLE}) > 30


@pytest.mark.parametrize("rule", sorted({case[4].rule for case in CASES}))
def test_a_remedy_can_be_followed(rule: str) -> None:
    unmended: List[str] = []
    for _, image, release, features, finding in FOLLOWABLE:
        if finding.rule != rule:
            continue
        after = [judge(image.with_values(**changes), release, features) for changes in followed(finding, image)]
        if all(any((each.rule, each.field) == (rule, finding.field) for each in found) for found in after):
            unmended.append(finding.message)
    assert unmended == []


def test_a_remedy_names_no_field_that_is_not_there() -> None:
    wrong: Set[str] = {
        finding.message for _, image, _, _, finding in CASES
        for field in _FIELD.findall(remedy(finding)) if field not in image.values
    }
    assert wrong == set()
