# SPDX-License-Identifier: MIT
"""Context files: what they mean, and how they are refused."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from xenvcpu.abi.layout import Image
from xenvcpu.context.presets import PRESETS, flat32, long64
from xenvcpu.context.segment import DescriptorTable, Segment
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile import from_mapping, load, loads
from xenvcpu.contextfile.source import MAX_SIZE
from xenvcpu.errors import ContextFileError


def context(text: str, vcpuid: int = 1) -> VcpuContext:
    rendered = loads(text).render(vcpuid)
    assert isinstance(rendered, VcpuContext)
    return rendered


def refusal(text: str, vcpuid: int = 1, **options: object) -> ContextFileError:
    with pytest.raises(ContextFileError) as caught:
        loads(text, **options).render(vcpuid)  # type: ignore[arg-type]
    return caught.value


def test_keys_of_32b_mode_are_the_names_of_the_32_bit_block() -> None:
    assert VcpuContext(rip=0x100, rflags=2, cs=Segment(1, 2, 0xC9B)) == context(
        "eip = 0x100\neflags = 2\ncs_base = 1\ncs_limit = 2\ncs_ar = 0xc9b"
    )


def test_keys_of_64b_mode_are_the_names_of_the_64_bit_block() -> None:
    assert 0xFFFFFFFF80000000 == context('mode = "64B"\nrip = "0xffffffff80000000"').rip


def test_a_preset_is_where_a_file_starts_from() -> None:
    assert flat32(eip=0x1000) == context('preset = "flat32"\neip = 0x1000')


def test_part_of_a_segment_keeps_the_rest_of_the_preset() -> None:
    cs = context('preset = "flat32"\ncs_base = 0x10000').cs
    assert Segment(0x10000, 0xFFFFFFFF, 0xC9B) == cs


def test_a_base_alone_keeps_the_segment_that_initialise_leaves() -> None:
    gs = context('preset = "long64"\ngs_base = "0xffff888000000000"').gs
    assert Segment(0xFFFF888000000000, 0xFFFFFFFF, 0xC93) == gs
    cs = context('preset = "long64"\ncs_sel = 0x10').cs
    assert Segment(0, 0xFFFFFFFF, 0xA9B, 0x10) == cs


def test_arbytes_is_understood_as_ar() -> None:
    assert 0xC9B == context("cs_arbytes = 0xc9b").cs.ar  # type: ignore[union-attr]


def test_extended_fields_are_carried() -> None:
    made = context(
        'preset = "long64"\nr15 = "vcpuid"\ngdtr_base = 0x1000\ngdtr_limit = 0x27\nmsr_lstar = 5\n'
        f'fpu_regs = "{"01" * 512}"\n[msrs]\n0x48 = "vcpuid << 4"\n0xda0 = 7', 2,
    )
    assert (2, DescriptorTable(0x1000, 0x27), 5) == (made.r15, made.gdtr, made.msr_lstar)
    assert (b"\x01" * 512, ((0x48, 0x20), (0xDA0, 7))) == (made.fpu_regs, made.msrs)


def test_an_msr_with_a_field_of_its_own_goes_there() -> None:
    made = context('mode = "64B"\n[msrs]\n0xc0000082 = 5\n0xc0000101 = 6\n0xc0000080 = 0x500\n0x48 = 1')
    assert made.gs is not None
    assert (5, 6, 0x500, ((0x48, 1),)) == (made.msr_lstar, made.gs.base, made.efer, made.msrs)
    assert "msr_lstar" in str(refusal("msr_lstar = 1\n[msrs]\n0xc0000082 = 5"))


def test_each_vcpu_gets_its_own_values() -> None:
    template = loads('preset = "flat32"\nesp = "0x80000 + 0x1000 * vcpuid"')
    assert template.is_per_vcpu
    assert [0x81000, 0x83000] == [template.render(vcpuid).rsp for vcpuid in (1, 3)]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", PRESETS)
def test_a_file_may_be_nothing_but_a_preset(name: str) -> None:
    assert PRESETS[name]() == context(f'preset = "{name}"')


def test_control_keys_are_no_registers() -> None:
    assert "mine" == loads('schema = 1\ndescription = "mine"\nmode = "32B"\npreset = "pvh"').description


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rip = 1", ["<text>:1: rip", "eip", '"64B"']),
        ('mode = "64B"\neip = 1', ["<text>:2: eip", "rip", '"32B"']),
        ("frobnicate = 1", ["frobnicate", "xenvcpu-context(5) lists all keys"]),
        ("# note\n\neipp = 1", ["<text>:3: eipp", "did you mean eip?"]),
        ("gs_selector = 1", ["gs_selector", "gs_sel"]),
        ("EIP = 1", ["EIP", "did you mean eip?"]),
        ("GS_BASE = 1", ["did you mean gs_base?"]),
        ("FS_BASE = 1", ["did you mean fs_base?"]),
        ("CS_LIMIT = 1", ["did you mean cs_limit?"]),
        ("DS_AR = 1", ["did you mean ds_ar?"]),
        ("RIP = 1", ["the key in this mode is eip", "for rip say"]),
        ("KERNEL_GS_BASE = 1", ["did you mean shadow_gs?"]),
        ("msr_kernel_gs_base = 1", ["did you mean shadow_gs?"]),
        ("lstar = 1", ["did you mean msr_lstar?"]),
        ("# nothing", ["neither a preset nor a register is given"]),
        ("", ["neither a preset nor a register is given"]),
        ("{}", ["neither a preset nor a register is given"]),
        ('mode = "64B"\ndescription = "x"', ["neither a preset nor a register is given"]),
        ('vcpus = "1-3"\n[context]\neip = 1', ["vcpus: no such key", "this is a declaration"]),
        ("[cs]\nbase = 1", ["cs: no such key", "cs_base, cs_limit, cs_ar"]),
        ("[gdtr]\nbase = 1", ["gdtr: no such key", "gdtr_base, gdtr_limit"]),
        ("msr_efer = 1", ["msr_efer", "efer"]),
        ('preset = "flat23"', ["preset", "flat32"]),
        ('mode = "16B"', ["mode", "32B, 64B", "16B"]),
        ('preset = "flat32"\nmode = "64B"', ["mode", "flat32"]),
        ('format = "cpu_recrd"', ["format", "cpu_record"]),
        ("schema = 2", ["schema", "1"]),
        ("description = 1", ["description", "string"]),
        ("eip = 0x100000000", ["eip", "32 bits", "0xffffffff"]),
        ("eip = -1", ["eip", "32 bits"]),
        ("eip = 1.5", ["eip", "fraction"]),
        ("eip = true", ["eip", "boolean"]),
        ('eip = "2 **  vcpuid"', ["eip", "not allowed"]),
        ("cs_ar = 0x1cf9b", ["cs_ar", "12-bit word"]),
        ("\ncs_ar = 0xcf9b", [":2:", "cs_ar", "0xc9b", "0xf9b"]),
        ("cs_ar = 1\ncs_arbytes = 2", ["cs_arbytes", "cs_ar"]),
        ("msrs = 3", ["msrs", "table"]),
        ("[msrs]\nvcpuid = 1", ["msrs.vcpuid"]),
        ("[msrs]\n0x10 = 1\n16 = 2", ["msrs.16", "twice"]),
        ("fpu_regs = 3", ["fpu_regs", "hex"]),
        ('fpu_regs = "00"', ["fpu_regs", "512"]),
        ("eip = ", ["not TOML"]),
        ('{"eip": }', ["not JSON"]),
        ('{"eip": 1, "eip": 2}', ["eip stands twice"]),
        ('{"eip": 1' + "0" * 200 + "}", ["digits"]),
        ("{" * 100000, ["not JSON"]),
    ],
)
def test_a_wrong_file_is_refused_with_its_key_and_the_right_name(text: str, words: list[str]) -> None:
    message = str(refusal(text))
    assert [] == [word for word in words if word not in message]


def test_an_expression_that_fits_no_field_names_the_vcpu() -> None:
    error = refusal('eip = "vcpuid - 3"', vcpuid=1)
    assert "eip" == error.field
    assert "for vcpu 1" in str(error)


def test_overrides_replace_keys_under_the_same_checks() -> None:
    text = 'preset = "flat32"\neip = 1\ncs_ar = 0xc9b\n[msrs]\n0xC0011027 = 1'
    made = loads(text, {"eip": "0x20 + vcpuid", "cs_arbytes": "0xc99", "msrs.0xc0011027": "9"}).render(2)
    assert isinstance(made, VcpuContext)
    assert made.cs is not None
    assert (0x22, 0xC99, ((0xC0011027, 9),)) == (made.rip, made.cs.ar, made.msrs)
    error = refusal(text, overrides={"eax": "0x100000000"})
    assert str(error).startswith("--set: eax: ")


def test_an_override_can_choose_another_preset() -> None:
    assert long64() == loads('preset = "flat32"', {"preset": "long64"}).render(0)


def test_an_image_file_names_every_field_as_in_c() -> None:
    image = loads('format = "vcpu_hvm_context"\nmode = 7\neip = 1\n"pad2[1]" = 0xffff').render(0)
    assert isinstance(image, Image)
    assert (7, 1, 0xFFFF) == (image["mode"], image["eip"], image["pad2[1]"])


def test_an_image_file_has_no_keys_of_contexts() -> None:
    assert "did you mean cs_arbytes?" in str(refusal('format = "cpu_record"\ncs_ar = 1'))
    assert "preset" in str(refusal('format = "cpu_record"\npreset = "flat32"'))
    assert "vcpuid" in str(refusal('format = "vcpu_hvm_context"\nmode = "vcpuid"'))


def test_the_length_of_a_cpu_record_may_be_that_of_4_6() -> None:
    image = loads('format = "cpu_record"\nlength = 1024\nrax = 1').render(0)
    assert isinstance(image, Image)
    assert 1024 == len(image.pack())
    assert "1032, 1024" in str(refusal('format = "cpu_record"\nlength = 1016'))


def test_a_file_is_read_by_path_and_from_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ap.json"
    path.write_text(json.dumps({"preset": "flat32", "eip": "0x10"}))
    assert flat32(0x10) == load(path).render(0)
    stdin = io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfpreset = 'flat32'"))
    monkeypatch.setattr("sys.stdin", stdin)
    assert flat32() == load("-").render(0)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    big, binary = tmp_path / "big.toml", tmp_path / "context.bin"
    big.write_bytes(b"#" * (MAX_SIZE + 1))
    binary.write_bytes(b"\xff" * 128)
    missing = tmp_path / "missing"
    for path, words in ((big, "larger"), (binary, "decode"), (tmp_path, "directory"), (missing, "No such file")):
        with pytest.raises(ContextFileError, match=words):
            load(path)


def test_a_mapping_is_read_as_a_file_is() -> None:
    assert flat32(5) == from_mapping({"preset": "flat32", "eip": 5}).render(0)
