# SPDX-License-Identifier: MIT
"""A declaration in a domain's XML, which others wrote."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.toolstacks.virt import CONTEXT, OURS, domain_xml, element

from xenvcpu import vcpuset
from xenvcpu.errors import ContextFileError, FormatError
from xenvcpu.toolstacks.declaration import Declaration, DeclarationError
from xenvcpu.toolstacks.libvirt.metadata import from_xml, read_domain, to_xml
from xenvcpu.toolstacks.libvirt.namespace import MAX_SIZE

HANDLE = uuid.UUID(int=7)


@given(
    st.one_of(st.just("all"), st.sets(st.integers(1, 60), min_size=1).map(vcpuset.show)), st.booleans(),
    st.dictionaries(st.sampled_from(["eip", "esp", "msrs.0x48"]), st.sampled_from(["7", "vcpuid", "1 << vcpuid"])),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff'\"\\")),
)
def test_what_is_written_is_read_again(vcpus: str, reset: bool, settings: dict[str, str], text: str) -> None:
    made = Declaration(f'{{"preset": "flat32",\n\t"description": "{text}"}}', vcpus, settings, reset)
    assert from_xml(to_xml(made), "web") == made


def test_windows_line_ends_are_read_as_lines() -> None:
    made = Declaration(CONTEXT.replace(",", ",\r\n"))
    assert from_xml(to_xml(made), "web").context == CONTEXT.replace(",", ",\n")


def test_a_character_that_xml_lacks_is_refused() -> None:
    with pytest.raises(DeclarationError, match="no way to write the character"):
        to_xml(Declaration('{"preset": "flat32", "description": "\ufffe"}'))


def test_a_domain_tells_who_it_is_and_what_it_declares() -> None:
    found = read_domain(domain_xml(HANDLE, element(attributes='vcpus="1-2" reset="yes"')).encode())
    assert (found.uuid, found.name) == (HANDLE, "web")
    assert found.declaration == Declaration(CONTEXT, "1-2", reset=True)


@pytest.mark.parametrize("metadata", ["", "<o:app xmlns:o='http://other/'><declaration/></o:app>", "<declaration/>"])
def test_what_others_keep_there_is_theirs(metadata: str) -> None:
    assert read_domain(domain_xml(HANDLE, metadata)).declaration is None


def test_a_comment_and_a_cdata_section_are_read_as_xml_has_them() -> None:
    inner = f"<!-- ours --><x:context><![CDATA[{CONTEXT}]]></x:context>"
    assert read_domain(domain_xml(HANDLE, element(inner))).declaration == Declaration(CONTEXT)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (element() * 2, "has 2 declarations"),
        (element(space="urn:xenvcpu:declaration:2"), "not a declaration that this xenvcpu reads"),
        (f'<x:other xmlns:x="{OURS}"/>', "not a declaration that this xenvcpu reads"),
        (element(""), "has 0 contexts"),
        (element(f"<x:context>{CONTEXT}</x:context>" * 2), "has 2 contexts"),
        (element(attributes='vcpu="1"'), "no attribute vcpu"),
        (element(attributes='reset="maybe"'), "'maybe' is not yes or no"),
        (element(attributes='vcpus="9-1"'), "counts down"),
        (element("<x:context><x:b/></x:context>"), "holds text, not elements"),
        (element(f"loose<x:context>{CONTEXT}</x:context>"), "holds elements, not text"),
        (element(f"<x:context>{CONTEXT}</x:context>loose"), "holds elements, not text"),
        (element(f"<x:context>{CONTEXT}</x:context><x:exec>rm</x:exec>"), "no such element"),
        (element(f"<context>{CONTEXT}</context>"), "no such element"),
        (element(f"<x:context>{CONTEXT}</x:context>" + '<x:set key="eip">1</x:set>' * 2), "eip is set twice"),
        (element(f"<x:context>{CONTEXT}</x:context>" + '<x:set key="rip">1</x:set>'), "web: settings.rip: no such key"),
        (element("<x:context>{</x:context>"), "not JSON"),
        (element(f"<x:context>{' ' * 70000}{CONTEXT}</x:context>"), "too large"),
    ],
)
def test_a_declaration_is_strict(metadata: str, said: str) -> None:
    with pytest.raises(ContextFileError, match=said) as caught:
        read_domain(domain_xml(HANDLE, metadata))
    assert "web" in str(caught.value) and len(str(caught.value)) < 1000


BOMB = '<!DOCTYPE d [<!ENTITY a "aaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)
) + "]>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB + domain_xml(HANDLE, "&m;"), "a document type"),
        ('<!DOCTYPE d SYSTEM "file:///etc/passwd">' + domain_xml(HANDLE), "a document type"),
        ('<?xml version="1.0"?>\n<!DOCTYPE d>' + domain_xml(HANDLE), "a document type"),
        (domain_xml(HANDLE, "&undefined;"), "not XML"),
        (domain_xml(HANDLE) + " " * MAX_SIZE, "larger than"),
        ("<a>" * 100, "deep"),
        ("<a>" * 1000000, "deep"),
        ("<a>" + "<b/>" * 100000, "elements"),
        ("", "not XML"),
        ("{}", "not XML"),
        ("<domain>\0</domain>", "not XML"),
        (b"\xff\xfe<\0d\0/\0>\0", "not UTF-8"),
        ("<domain>\ud800</domain>", "not XML"),
        ("<network><name>n</name><uuid>%s</uuid></network>" % HANDLE, "not a domain"),
        (domain_xml(HANDLE, name=""), "not a domain"),
        (domain_xml("not-one"), "no UUID"),
        ("<domain/>", "no UUID"),
    ],
)
def test_what_is_no_domain_is_refused(text: str | bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said) as caught:
        read_domain(text)
    assert len(str(caught.value)) < 500


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_domain(data)


@given(st.data())
def test_a_damaged_domain_is_read_or_refused(data: st.DataObject) -> None:
    good = domain_xml(HANDLE, element(attributes='vcpus="1-2"')).encode()
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + data.draw(st.binary(max_size=3)) + good[at + data.draw(st.integers(0, 3)) :]
    try:
        read_domain(bad)
    except (FormatError, ContextFileError) as error:
        assert len(str(error)) < 1000
