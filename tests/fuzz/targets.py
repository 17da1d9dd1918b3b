# SPDX-License-Identifier: MIT
"""The table of decoders under fuzz."""

from __future__ import annotations

from functools import partial

from integration.lab.elf import ElfError
from tests.fuzz import decoders, edits, texts
from tests.fuzz.target import Target
from xenvcpu.abi import cpu_msr, xsave
from xenvcpu.errors import ContextError, ContextFileError, FormatError
from xenvcpu.model.worldfile import WorldFileError

_STREAM, _STRUCT, _TEXT = 1 << 14, 1200, 1 << 12
_FORMAT, _CONTEXT = (FormatError,), (ContextError,)

TARGETS = (
    Target("save_stream", decoders.run_save_stream, _FORMAT, decoders.saves, _STREAM, has_offset=True),
    Target("saved_state", decoders.run_saved_state, _FORMAT, decoders.saves_by_release, _STREAM, has_offset=True),
    Target(
        "cpu_record", decoders.run_cpu_record, _FORMAT, partial(decoders.structs, "cpu_record"), _STRUCT,
        has_offset=True,
    ),
    Target(
        "vcpu_hvm_context", decoders.run_vcpu_hvm_context, _FORMAT, partial(decoders.structs, "vcpu_hvm_context"), 160,
        has_offset=True,
    ),
    Target(
        "draft2015", decoders.run_draft2015, _FORMAT, partial(decoders.structs, "draft2015"), 256, has_offset=True
    ),
    Target(
        "cpu_msr", decoders.run_cpu_msr, _FORMAT, lambda: [cpu_msr.encode([(0x48, 1), (0xDA0, 2)])], 512,
        has_offset=True,
    ),
    Target(
        "xsave", decoders.run_xsave, _FORMAT,
        lambda: [xsave.layout(size).image({"xcr0": 7, xsave.XSTATE_BV: 7}).pack() for size in (600, 832)], 4096,
        has_offset=True,
    ),
    Target("information", decoders.run_information, _FORMAT, decoders.infos, 5200, has_offset=True),
    Target("elf", decoders.run_elf, (ElfError,), decoders.elves, 512),
    Target("model_load", decoders.run_model_load, (), decoders.saves_by_release, _STREAM),
    Target("expression", texts.run_expression, _CONTEXT, texts.expressions, 256, texts.WORDS),
    Target(
        "context_toml", texts.run_context_toml, (ContextFileError,), partial(texts.contexts, "toml"), _TEXT, texts.WORDS
    ),
    Target(
        "context_json", texts.run_context_json, (ContextFileError,), partial(texts.contexts, "json"), _TEXT, texts.WORDS
    ),
    Target(
        "stream_file", texts.run_stream_file, (ContextFileError, FormatError), texts.stream_files, _STREAM, texts.WORDS
    ),
    Target(
        "register_dump", texts.run_register_dump, _FORMAT, texts.register_dumps, _STREAM,
        ("(XEN) ", "*** Guest State ***", "CR0: actual=", "gh_mask=", "RAX=", "EFER", "CPU:    rax 0x", "TR:", "TR ="),
    ),
    Target("world_file", texts.run_world_file, (WorldFileError,), texts.world_files, 1 << 15, texts.WORDS),
    Target("kept_file", texts.run_kept_file, _FORMAT, texts.kept_files, 1 << 13),
    Target("world_edits", edits.run_world_edits, (WorldFileError,), edits.edits, 64),
    Target("context_edits", edits.run_context_edits, (ContextFileError,), edits.edits, 64),
    Target("record_edits", edits.run_record_edits, (ContextFileError, FormatError), edits.edits, 64),
    Target("terminal", texts.run_terminal, (), texts.names, 512),
    Target("release", texts.run_release, _CONTEXT, texts.releases, 64),
)
