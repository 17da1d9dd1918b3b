# SPDX-License-Identifier: MIT
"""The 2015 draft as bytes, its layout proved against a C compiler."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenvcpu.abi import draft2015
from xenvcpu.abi.draft2015 import LAYOUTS, Mode
from xenvcpu.errors import FormatError

# Our own declarations of what the mail proposes, each block closed after its last field.
DECLARATIONS = """
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#define SEGMENTS uint32_t cs_base, ds_base, ss_base, cs_limit, ds_limit, ss_limit; uint16_t cs_ar, ds_ar, ss_ar
typedef enum { M16, M32, M64 } draft_mode;
struct draft {
    draft_mode mode;
    union {
        struct { uint16_t ax, cx, dx, bx, sp, bp, si, di, ip; uint32_t cr[8]; SEGMENTS; } b16;
        struct { uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, eip; uint32_t cr[8]; uint64_t efer; SEGMENTS; } b32;
        struct {
            uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rip;
            uint64_t cr[8], efer;
        } b64;
    } regs;
};
#define SHOW(block, field) printf(#block " " #field " %zu %zu\\n", \\
    offsetof(struct draft, regs.block.field), sizeof(((struct draft *)0)->regs.block.field))
"""
BLOCKS = {"b16": Mode.VCPU_HVM_MODE_16B, "b32": Mode.VCPU_HVM_MODE_32B, "b64": Mode.VCPU_HVM_MODE_64B}
GOLDEN_16B = struct.pack(
    "<I 4x 9H 2x 8I 6I 3H", 0, 1, 2, 3, 4, 0x7000, 6, 7, 8, 0x10, 0x10, 0, 0x22, 0x33, 0x44, 0, 0, 0,
    0x8000, 0, 0, 0xFFFF, 0xFFFF, 0xFFFF, 0x9B, 0x93, 0x93,
).ljust(216, b"\0")
GOLDEN_64B = struct.pack("<I 4x 17Q 8Q Q", 2, *range(1, 18), 0x80000011, 0, 2, 3, 4, 0, 0, 0, 0x500)


def _in_c(name: str) -> str:
    return f"cr[{name[2:]}]" if name in draft2015.CONTROL else name


def _compiled(tmp_path: Path) -> list[list[str]]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    shows = [
        f"SHOW({block}, {_in_c(name)});"
        for block, mode in BLOCKS.items() for name in LAYOUTS[mode].fields if name != "mode"
    ]
    source = tmp_path / "draft.c"
    source.write_text(
        DECLARATIONS + "int main(void) {\n" + "\n".join(shows)
        + '\nprintf("size %zu %zu %zu\\n", sizeof(struct draft), offsetof(struct draft, regs), sizeof(draft_mode));\n'
        + "return 0;\n}\n"
    )
    program = tmp_path / "draft"
    subprocess.run([compiler, "-Wall", "-Werror", "-o", program, source], check=True)
    shown = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return [line.split() for line in shown.splitlines()]


def test_every_field_lies_where_a_c_compiler_puts_it(tmp_path: Path) -> None:
    lines = _compiled(tmp_path)
    expected = [
        [block, _in_c(field.name), str(field.offset), str(field.size)]
        for block, mode in BLOCKS.items() for field in LAYOUTS[mode].fields.values() if field.name != "mode"
    ]
    assert expected == lines[:-1]
    assert ["size", str(draft2015.SIZE), str(draft2015.BLOCK_OFFSET), "4"] == lines[-1]


def test_every_register_of_a_block_has_a_field() -> None:
    """17 integers and 8 control registers in 64B; the other blocks have 9, 8 and three segments of three."""
    assert [1 + 9 + 8 + 9, 1 + 9 + 8 + 1 + 9, 1 + 17 + 8 + 1] == [len(LAYOUTS[mode].fields) for mode in Mode]


@given(st.sampled_from([0, 1, 2, 3, 2**32 - 1]), st.binary(min_size=212, max_size=212))
def test_any_draft_comes_back_byte_for_byte_in_any_mode(mode: int, rest: bytes) -> None:
    data = mode.to_bytes(4, "little") + rest
    image = draft2015.decode(data)
    assert (data, mode) == (image.pack(), image["mode"])


def test_a_16b_image_is_read_by_name() -> None:
    image = draft2015.decode(GOLDEN_16B)
    names = ("ax", "cx", "sp", "ip", "cr0", "cr2", "cr3", "cr4", "cs_base", "cs_limit", "cs_ar", "ss_ar")
    assert [1, 2, 0x7000, 0x10, 0x10, 0x22, 0x33, 0x44, 0x8000, 0xFFFF, 0x9B, 0x93] == [image[name] for name in names]


def test_a_64b_image_is_read_by_name() -> None:
    image = draft2015.decode(GOLDEN_64B)
    assert [1, 9, 16, 17, 0x80000011, 4, 0x500] == [image[name] for name in "rax r8 r15 rip cr0 cr4 efer".split()]


def test_a_16b_image_is_written_as_c_lays_it_out() -> None:
    image = draft2015.decode(GOLDEN_16B)
    assert GOLDEN_16B == LAYOUTS[Mode.VCPU_HVM_MODE_16B].image(image.values).pack()


@pytest.mark.parametrize("size", [0, 3, 128, 215, 217])
def test_another_length_is_a_format_error(size: int) -> None:
    with pytest.raises(FormatError) as caught:
        draft2015.decode(bytes(size))
    assert min(size, 216) == caught.value.offset
