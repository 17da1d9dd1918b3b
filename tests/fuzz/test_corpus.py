# SPDX-License-Identifier: MIT
"""Every seed and every input that was a crash once, through its target; no fuzzer is needed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzz.target import CORPUS, Target, table

TARGETS = table()
LONGEST = 5.0
"""Seconds of processor time that one input may take, on a slow machine."""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_seed_is_no_crash(target: Target) -> None:
    seeds = list(target.seeds())
    assert seeds and all(len(seed) <= target.max_len for seed in seeds), [len(seed) for seed in seeds]
    for seed in seeds:
        target.examine(seed)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_seeds_are_the_same_each_time(target: Target) -> None:
    assert list(target.seeds()) == list(target.seeds())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_bytes_of_one_kind_are_no_crash(target: Target) -> None:
    for byte in (0, 0x20, 0x5B, 0x7B, 0x80, 0xFF):
        for size in (0, 1, 24, 128, target.max_len):
            target.examine(bytes([byte]) * size)


@pytest.mark.parametrize(
    ("target", "path"), [(target, path) for target in TARGETS for path in target.stored()],
    ids=lambda value: value.name,
)
def test_what_was_a_crash_is_none_now(target: Target, path: Path) -> None:
    started = time.process_time()
    target.examine(path.read_bytes())
    assert time.process_time() - started < LONGEST


def test_every_folder_of_the_corpus_has_its_target() -> None:
    folders = {path.name for path in CORPUS.iterdir()} if CORPUS.is_dir() else set()
    assert folders <= {target.name for target in TARGETS}
