# SPDX-License-Identifier: MIT
"""How a C struct lies in memory, and one struct's contents under its C field names.

A `Layout` is a table of integer fields; an `Image` is what stands in one struct.
Bytes that no integer field covers (padding, the unused tail of a union, the FPU
image) are kept in `Image.rest`, so that decoding and encoding lose nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Iterable, Mapping, NamedTuple

from xenvcpu.errors import ContextError, FormatError

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Field(NamedTuple):
    """One integer of a struct: its C name, byte offset and size in bytes."""

    name: str
    offset: int
    size: int


class Layout:
    """The byte layout of one little-endian C struct.

    Attributes:
        name: The C name of the struct.
        size: Its size in bytes.
        fields: Its integer fields by name, in order of offset.
    """

    def __init__(self, name: str, size: int, fields: Iterable[Field]) -> None:
        self.name = name
        self.size = size
        self.fields: Mapping[str, Field] = {f.name: f for f in sorted(fields, key=lambda f: f.offset)}
        self._gaps, code = self._walk()
        self._struct = struct.Struct(code)
        self.rest_size = sum(stop - start for start, stop in self._gaps)

    def _walk(self) -> tuple[list[tuple[int, int]], str]:
        gaps, code, position = [], "<", 0
        for field in self.fields.values():
            if field.offset > position:
                gaps.append((position, field.offset))
                code += f"{field.offset - position}x"
            code += _CODES[field.size]
            position = field.offset + field.size
        if self.size > position:
            gaps.append((position, self.size))
            code += f"{self.size - position}x"
        return gaps, code

    def unpack(self, data: bytes) -> Image:
        """Read the struct from exactly `size` bytes.

        Raises:
            FormatError: `data` has another length.
        """
        if len(data) != self.size:
            raise FormatError(f"{self.name} is {self.size} bytes, got {len(data)}", offset=len(data))
        values = dict(zip(self.fields, self._struct.unpack(data)))
        return Image(self, values, b"".join(data[start:stop] for start, stop in self._gaps))

    def image(self, values: Mapping[str, int] | None = None, rest: bytes = b"") -> Image:
        """Make an image with the fields given, all others zero.

        Args:
            values: Fields by name.
            rest: The bytes that no field covers; zeros follow where there are fewer.

        Raises:
            ContextError: A name is not a field, a value does not fit its field, or `rest` is too long.
        """
        if len(rest) > self.rest_size:
            raise ContextError(
                f"{self.name} has {self.rest_size} bytes that no field covers, got {len(rest)}", value=len(rest),
                rule="range",
            )
        given = {} if values is None else values
        for name, value in given.items():
            self._require(name, value)
        return Image(self, {name: given.get(name, 0) for name in self.fields}, rest.ljust(self.rest_size, b"\0"))

    def _require(self, name: str, value: int) -> None:
        field = self.fields.get(name)
        if field is None:
            raise ContextError(f"{self.name} has no field {name}", field=name, value=value)
        if not 0 <= value < 1 << 8 * field.size:
            raise ContextError(
                f"{name} = {value:#x} does not fit the {8 * field.size} bits of {self.name}.{name}",
                field=name, value=value, rule="range",
                remedy=f"give a value from 0 to {(1 << 8 * field.size) - 1:#x}",
            )

    def pack(self, image: Image) -> bytes:
        """Write an image of this layout as `size` bytes.

        Raises:
            ContextError: Its `rest` is not as long as what no field covers.
        """
        if len(image.rest) != self.rest_size:
            raise ContextError(
                f"{self.name} has {self.rest_size} bytes that no field covers, got {len(image.rest)}",
                value=len(image.rest), rule="range",
            )
        data = bytearray(self._struct.pack(*image.values.values()))
        position = 0
        for start, stop in self._gaps:
            data[start:stop] = image.rest[position : position + stop - start]
            position += stop - start
        return bytes(data)


@dataclass(frozen=True)
class Image:
    """The contents of one C struct.

    Attributes:
        layout: The struct.
        values: Every integer field, in order of offset, by its C name.
        rest: The bytes that no field covers, joined, in order.
    """

    layout: Layout
    values: Mapping[str, int]
    rest: bytes = b""

    def __getitem__(self, name: str) -> int:
        return self.values[name]

    def pack(self) -> bytes:
        """The struct as bytes.

        Raises:
            ContextError: `rest` is not as long as what no field covers.
        """
        return self.layout.pack(self)

    def with_values(self, **values: int) -> Image:
        """A copy with some fields replaced.

        Raises:
            ContextError: A name is not a field, or a value does not fit.
        """
        for name, value in values.items():
            self.layout._require(name, value)
        return replace(self, values={**self.values, **values})


def sequence(names: str, size: int, offset: int = 0) -> list[Field]:
    """Fields of one size that follow each other: `sequence("eax ecx", 4, 8)`."""
    return [Field(name, offset + size * i, size) for i, name in enumerate(names.split())]
