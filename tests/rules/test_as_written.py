# SPDX-License-Identifier: MIT
"""What the user wrote is what is judged: the same findings under the same names, whichever interface is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile import FORMATS, as_mapping, convert, from_mapping
from xenvcpu.encoding import to_cpu_record, to_vcpu_hvm_context
from xenvcpu.errors import ContextError
from xenvcpu.newvcpu import prepare, prepare_inside
from xenvcpu.rules.catalogue import catalogue
from xenvcpu.rules.features import UNKNOWN, Interface
from xenvcpu.rules.release import KNOWN, Release
from xenvcpu.rules.verdict import Level, Verdict

NEWEST = KNOWN[-1]
OF_ONE_INTERFACE = {(entry.name, entry.level) for entry in catalogue() if len(entry.interfaces) == 1}
"""The stated differences: what one of Xen's two functions checks and the other does not."""

FLAT = {"preset": "flat32", "eip": 0x1000, "esp": 0x8000}
LONG = {"preset": "long64", "rip": 0x1000, "rsp": 0x8000, "cr3": 0x1000}
REAL = {"preset": "real16", "cs_base": 0x8000, "esp": 0x1000}
WORDS = [0, 0x8B, 0x93, 0x9B, 0x493, 0x49B, 0xA9B, 0xC91, 0xC93, 0xC9B, 0xCF3, 0x8093, 0xA09B, 0xC09B, 0xC093, 0xC09B00,
         0xCF9300, 0x10000]
LIMITS = [0, 0x67, 0xFFF, 0xFFFF, 0x10000, 0xFFFFF, 0x500000, 0x5FFFFF, 0xFFFFFFFF]


def context(data: dict[str, Any]) -> VcpuContext:
    made = from_mapping(data).render(1)
    assert isinstance(made, VcpuContext)
    return made


def verdicts(made: VcpuContext, release: Release = NEWEST) -> dict[Interface, Verdict]:
    return {
        Interface.VCPUOP: prepare_inside(1, made, release, UNKNOWN)[1],
        Interface.DOMCTL: prepare(1, made, release, UNKNOWN).verdict,
    }


def shared(verdict: Verdict, told: set[str]) -> list[tuple[str, str, str, int, str]]:
    """The findings of rules that both interfaces have, but for fields of which one of them has told worse."""
    return [
        (found.rule, found.level.value, found.field, found.value, found.message) for found in verdict.findings
        if (found.rule, found.level) not in OF_ONE_INTERFACE and found.field not in told
    ]


def require_same(made: VcpuContext, release: Release = NEWEST) -> None:
    both = verdicts(made, release)
    told = {
        found.field for verdict in both.values() for found in verdict.findings if found.level is Level.REJECTED
    }
    assert shared(both[Interface.VCPUOP], told) == shared(both[Interface.DOMCTL], told)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """Context files that both interfaces can carry, with much that is wrong."""
    data = dict(draw(st.sampled_from([FLAT, LONG, REAL])))
    letter = "r" if data["preset"] == "long64" else "e"
    data.update(draw(st.fixed_dictionaries({}, optional={
        f"{letter}ip": st.sampled_from([0, 0x1000, 0x12345678]), f"{letter}sp": st.sampled_from([0, 0x8000, 0x200000]),
        f"{letter}flags": st.sampled_from([0, 2, 0x202, 0x8002, 0x20002]),
        "cr0": st.sampled_from([1, 0x11, 0x10, 0x80000010, 0x80000011, 0x20000011, 0x51]),
        "cr3": st.sampled_from([0, 0x1000, 0x1020]), "cr4": st.sampled_from([0, 0x20, 1 << 17]),
        "efer": st.sampled_from([0, 0x100, 0x400, 0x500]),
    })))
    for name in ("cs", "ds", "es", "ss", "tr") if letter == "e" else ():
        data.update(draw(st.fixed_dictionaries({}, optional={
            f"{name}_ar": st.sampled_from(WORDS), f"{name}_limit": st.sampled_from(LIMITS),
            f"{name}_base": st.sampled_from([0, 0x8000, 0x100000]),
        })))
    return data


@given(files(), st.sampled_from([NEWEST, Release.parse("4.17"), Release.parse("4.8.4")]))
def test_both_interfaces_find_the_same_but_for_what_xen_checks_in_one(data: dict[str, Any], release: Release) -> None:
    require_same(context(data), release)


@pytest.mark.parametrize(("changes", "rule", "field"), [
    ({"ds_limit": 0xFFFFF}, "limit-counts-bytes", "ds_limit"), ({"es_ar": 0x493}, "g-clear", "es_ar"),
    ({"ds_ar": 0}, "null-data-segment", "ds_ar"), ({"ss_limit": 0xFFFF}, "limit-counts-bytes", "ss_limit"),
    ({"esp": 0}, "no-stack", "esp"), ({"eflags": 0x8002}, "rflags-dropped", "eflags"),
    ({"cs_ar": 0xC09B}, "ar-vmx-form", "cs_ar"),
])
def test_a_lint_about_what_was_given_is_the_same_through_dom0(changes: dict[str, int], rule: str, field: str) -> None:
    made = context({**FLAT, **changes})
    for verdict in verdicts(made).values():
        assert (rule, field, changes[field]) in [(each.rule, each.field, each.value) for each in verdict.findings]
    require_same(made)


@pytest.mark.parametrize("word", [0xC09B, 0xC09B00], ids=hex)
@pytest.mark.parametrize("name", ["cs", "ds", "es", "ss"])
def test_attributes_of_another_form_start_the_same_vcpu_with_a_note_of_both_words(name: str, word: int) -> None:
    word = word if name == "cs" else word ^ (8 << 8 if word >> 16 else 8)
    made, wanted = context({**FLAT, f"{name}_ar": word}), context(FLAT)
    image, inside = prepare_inside(1, made, NEWEST, UNKNOWN)
    outside = prepare(1, made, NEWEST, UNKNOWN)
    assert image == prepare_inside(1, wanted, NEWEST, UNKNOWN)[0]
    assert outside.record == prepare(1, wanted, NEWEST, UNKNOWN).record
    for verdict in (inside, outside.verdict):
        assert [found.field for found in verdict.findings] == [f"{name}_ar"]
        assert f"{word:#x} (in " in verdict.findings[0].message
        assert f"taken as {getattr(wanted, name).ar:#x})" in verdict.findings[0].message


@pytest.mark.parametrize("base", [FLAT, LONG], ids=["32B", "64B"])
@pytest.mark.parametrize(("key", "word", "loaded"), [
    ("fs_ar", 0xC093, 0xC93), ("gs_ar", 0xC09300, 0xC93), ("ldtr_ar", 0x8200, 0x82), ("ldtr_ar", 0x10000, 0),
    ("tr_ar", 0x8B00, 0x8B), ("cs_ar", 0xA09B, 0xA9B), ("ds_ar", 0xCF9300, 0xC93),
])
def test_every_segment_is_read_so_also_where_only_dom0_carries_it(
    base: dict[str, Any], key: str, word: int, loaded: int
) -> None:
    limit = {key.replace("ar", "limit"): 0xFFFFFFFF} if loaded & 0x800 else {}
    ready = prepare(1, context({**base, **limit, key: word}), NEWEST, UNKNOWN)
    assert ready.record[f"{key}bytes"] == loaded
    assert ("ar-vmx-form", key, word) in [(each.rule, each.field, each.value) for each in ready.verdict.findings]


def test_what_only_dom0_carries_is_refused_inside_under_its_key() -> None:
    with pytest.raises(ContextError, match=r"^cs_ar = 0xc9b cannot be carried"):
        prepare_inside(1, context({**LONG, "cs_ar": 0xC9B}), NEWEST, UNKNOWN)


LITERAL = {**as_mapping(to_vcpu_hvm_context(context(FLAT))), "cs_ar": 0xC09B}


def test_the_image_of_a_struct_is_literal_through_both_interfaces() -> None:
    image = from_mapping(LITERAL).render(1)
    assert [found.rule for found in prepare_inside(1, image, NEWEST, UNKNOWN)[1].findings][0] == "ar-reserved-bits"
    with pytest.raises(ContextError, match="Xen's is 0xc9b") as caught:
        prepare(1, image, NEWEST, UNKNOWN)
    assert (caught.value.rule, caught.value.field) == ("ar-reserved-bits", "cs_ar")


def test_a_cpu_record_is_judged_under_the_names_of_its_fields() -> None:
    record = from_mapping({**as_mapping(to_cpu_record(context(FLAT))), "rsp": 0, "cs_arbytes": 0xC09B}).render(1)
    found = [(each.rule, each.field) for each in prepare(1, record, NEWEST, UNKNOWN).verdict.findings]
    assert found == [("ar-vmx-form", "cs_arbytes"), ("no-stack", "rsp")]


@pytest.mark.parametrize("kind", ["vcpu_hvm_context", "draft2015"])
def test_another_struct_that_dom0_is_given_keeps_its_own_names(kind: str) -> None:
    image = convert(context({**FLAT, "esp": 0}), FORMATS[kind])
    assert [each.field for each in prepare(1, image, NEWEST, UNKNOWN).verdict.findings] == ["esp"]


def test_a_refusal_of_the_record_is_told_under_the_key_of_the_file() -> None:
    found = prepare(1, context({**FLAT, "efer": 2}), NEWEST, UNKNOWN).verdict.findings[0]
    assert (found.rule, found.field, found.value) == ("efer-unknown-bit", "efer", 2)
