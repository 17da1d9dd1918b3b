# SPDX-License-Identifier: MIT
"""A domain as it was before it was touched: all that putting it back needs, in another process or on another day."""

from __future__ import annotations

import base64
import binascii
import json
import struct
import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Mapping, Optional, Tuple

from xenvcpu.errors import FormatError, XenVcpuError
from xenvcpu.rules.release import Release
from xenvcpu.savedstate import SavedState

SCHEMA = 1
LARGEST = 1 << 26
"""Bytes that a capture's file may have; a domain of 128 vcpus has a save stream of less than 1 MiB."""
_LENGTHS = struct.Struct("<II")


@dataclass(frozen=True)
class Capture:
    """What was found under the pause.

    Attributes:
        domid: The domain.
        handle: Its UUID: a domid may come to belong to another domain.
        release: The Xen that saved it.
        verb: What was about to be done: `start`, `stop` or `recover`.
        vcpuids: The vcpus that it was about to be done to.
        stream: The whole save stream.
        reached: The vcpus that were fresh and that the change has reached; None while that is not known.
        vendor: Whose processor the host has; None where that was not known.
        taken: When the save had been read, by `Dom0Port.now`; None in what older versions kept.
        cpu_time: Nanoseconds that its vcpus had run; None in what older versions kept.
    """

    domid: int
    handle: uuid.UUID
    release: Release
    verb: str
    vcpuids: Tuple[int, ...]
    stream: bytes
    reached: Optional[Tuple[int, ...]] = None
    vendor: Optional[str] = None
    taken: Optional[int] = None
    cpu_time: Optional[int] = None

    @cached_property
    def state(self) -> SavedState:
        """The save stream, parsed.

        Raises:
            FormatError: It is none.
        """
        return SavedState.parse(self.stream, self.release, self.vendor)

    @property
    def fresh(self) -> Tuple[int, ...]:
        """The vcpus that were about to be started, and had not been online."""
        return tuple(vcpuid for vcpuid in self.vcpuids if vcpuid not in self.state.cpu)

    def _head(self) -> Mapping[str, Any]:
        return {
            "schema": SCHEMA, "domid": self.domid, "uuid": str(self.handle), "xen": str(self.release),
            "verb": self.verb, "vcpus": list(self.vcpuids),
            "reached": None if self.reached is None else list(self.reached),
            "vendor": self.vendor, "taken": self.taken, "cpu_time": self.cpu_time,
        }

    def parts(self) -> Tuple[bytes, bytes]:
        """The capture as bytes, to be written one behind the other: no copy is made while the domain is paused."""
        head = json.dumps(self._head()).encode("ascii")
        return _LENGTHS.pack(len(head), len(self.stream)) + head, self.stream

    @classmethod
    def unpack(cls, data: bytes) -> Capture:
        """Read what `parts` gave; more bytes may follow.

        Raises:
            FormatError: It is cut off or damaged.
        """
        if len(data) < _LENGTHS.size:
            raise FormatError("a capture is cut off before its lengths", offset=len(data))
        head, stream = _LENGTHS.unpack_from(data)
        end = _LENGTHS.size + head
        if end + stream > len(data):
            raise FormatError(f"a capture of {end + stream} bytes is cut off", offset=len(data))
        try:
            return cls._made(json.loads(data[_LENGTHS.size : end]), bytes(data[end : end + stream]))
        except (ValueError, RecursionError) as error:
            raise FormatError(f"a capture has a damaged head: {error}", offset=_LENGTHS.size) from error

    def as_dict(self) -> dict[str, Any]:
        """The capture as its file has it."""
        return {**self._head(), "stream": base64.b64encode(self.stream).decode("ascii")}

    @classmethod
    def from_dict(cls, found: object) -> Capture:
        """Read what `as_dict` gave.

        Raises:
            FormatError: A key is missing or of another type, or the stream is none.
        """
        text = found.get("stream") if isinstance(found, dict) else None
        if not isinstance(text, str) or len(text) > LARGEST:
            raise FormatError("a capture has a stream in base64")
        try:
            capture = cls._made(found, base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise FormatError(f"the stream of a capture is not base64: {error}") from error
        SavedState.parse(capture.stream, capture.release)
        return capture

    @classmethod
    def _made(cls, head: Any, stream: bytes) -> Capture:
        try:
            if head["schema"] != SCHEMA:
                raise FormatError(f"a capture of schema {head['schema']!r}; this program reads {SCHEMA}")
            domid, vcpuids = head["domid"], tuple(head["vcpus"])
            reached = None if head["reached"] is None else tuple(head["reached"])
            if not all(type(number) is int and 0 <= number < 1 << 16 for number in (domid, *vcpuids, *(reached or ()))):
                raise FormatError("a capture has a domid or vcpuid that is none")
            vendor, taken, cpu_time = map(head.get, ("vendor", "taken", "cpu_time"))
            if type(vendor) not in (str, type(None)) or not {type(taken), type(cpu_time)} <= {int, type(None)}:
                raise FormatError("a capture has a vendor or time that is none")
            release = Release.parse(head["xen"])
            handle, verb = uuid.UUID(head["uuid"]), str(head["verb"])
            return cls(domid, handle, release, verb, vcpuids, stream, reached, vendor, taken, cpu_time)
        except FormatError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, XenVcpuError) as error:
            raise FormatError(f"not a capture: {type(error).__name__}: {error}") from error
