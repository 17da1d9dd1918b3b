# SPDX-License-Identifier: MIT
"""A guest's memory is mapped read-only, unless a write is asked for, and is not left mapped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Callable, Iterator

import pytest

from xenvcpu.errors import HypercallError
from xenvcpu.model import open_model
from xenvcpu.ports.memory import PAGE, PROT_READ, PROT_WRITE, MemoryPort


class Watched:
    """The library of the model, which notes the protections asked for and what is left mapped."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.protections: list[int] = []
        self.mapped = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self.library, name)

        def call(*arguments: Any) -> Any:
            result = function(*arguments)
            if name == "xenforeignmemory_map":
                self.protections.append(arguments[2])
                self.mapped += bool(result)
            self.mapped -= name == "xenforeignmemory_unmap"
            return result

        return call


@pytest.fixture
def watched() -> Iterator[tuple[MemoryPort, Watched]]:
    model = open_model("pvh")
    library = Watched(model.xenforeignmemory)
    libraries: Any = SimpleNamespace(ffi=model.ffi, xenforeignmemory=library, new_log=model.new_log)
    port = MemoryPort(libraries)
    yield port, library
    port.close()
    model.close()


def test_what_is_only_read_is_mapped_read_only(watched: tuple[MemoryPort, Watched]) -> None:
    port, library = watched
    assert port.read(1, PAGE - 2, 4) == bytes(4)
    assert library.protections == [PROT_READ]


def test_what_is_written_is_mapped_for_that(watched: tuple[MemoryPort, Watched]) -> None:
    port, library = watched
    port.write(1, PAGE - 2, b"over")
    assert port.read(1, PAGE - 2, 4) == b"over"
    assert library.protections == [PROT_READ | PROT_WRITE, PROT_READ]


def test_nothing_is_mapped_for_no_bytes(watched: tuple[MemoryPort, Watched]) -> None:
    port, library = watched
    port.write(1, 0, b"")
    assert (port.read(1, 0, 0), library.protections) == (b"", [])


def test_nothing_stays_mapped(watched: tuple[MemoryPort, Watched]) -> None:
    port, library = watched
    port.write(1, 5 * PAGE, b"x" * 2 * PAGE)
    port.read(1, 5 * PAGE, 2 * PAGE)
    with pytest.raises(HypercallError):
        port.read(1, 1 << 40, 1)
    assert library.mapped == 0
