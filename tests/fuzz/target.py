# SPDX-License-Identifier: MIT
"""One decoder under fuzz: what is run on bytes, what it may raise, and how it must say so."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Callable, Iterable, List, NamedTuple, Tuple, Type

from xenvcpu.errors import FormatError

CORPUS = Path(__file__).resolve().parent / "corpus"
"""A folder for each target, with inputs that were crashes once."""

MESSAGE_MAX = 2000
"""A message that holds more than this holds the input."""


class Target(NamedTuple):
    """One row of the table.

    Attributes:
        name: What it is called on the command line; also the folder of its corpus.
        run: Takes any bytes; an exception that is not of `typed` is a crash.
        typed: The errors by which it refuses.
        seeds: Good inputs, made by our own encoders: the same each time.
        max_len: The longest input that is tried.
        words: What its inputs are made of, where they are text.
        has_offset: Whether a refusal tells its offset in the input.
    """

    name: str
    run: Callable[[bytes], None]
    typed: Tuple[Type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    max_len: int
    words: Tuple[str, ...] = ()
    has_offset: bool = False

    def examine(self, data: bytes) -> None:
        """Run it on an input; whatever this raises is a bug."""
        try:
            self.run(data)
        except self.typed as error:
            message = str(error)
            assert 0 < len(message) <= MESSAGE_MAX, f"a message of {len(message)} characters: {message[:200]}..."
            if self.has_offset:
                assert isinstance(error, FormatError)
                assert error.offset is not None and 0 <= error.offset <= len(data), f"{error.offset}: {message}"

    def stored(self) -> List[Path]:
        """The inputs in its folder of the corpus."""
        return sorted(CORPUS.glob(f"{self.name}/*"))


def table() -> Tuple[Target, ...]:
    """All targets, imported when asked for: a fuzzer first puts its probes into what they import."""
    targets: Tuple[Target, ...] = importlib.import_module(f"{__package__}.targets").TARGETS
    return targets


def write_seeds(target: Target, folder: Path) -> None:
    """Fill a folder with the seeds of a target and its part of the corpus."""
    os.makedirs(folder, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / f"seed-{number}").write_bytes(seed)
    for path in target.stored():
        (folder / path.name).write_bytes(path.read_bytes())
