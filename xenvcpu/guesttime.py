# SPDX-License-Identifier: MIT
"""The time between a save and a load, which Xen takes from the TSC of every vcpu whose record is loaded.

A CPU record holds the guest's TSC at the save, and a load makes that the guest's TSC at the load
(hvm_set_guest_tsc_fixed). So the time between is added to the records, just before the load: from the return
of the read to the call of the load, which lies within the time between Xen's two readings of its TSC. A thousandth is
kept back, since a clock and a TSC whose frequency is given in kHz agree to some millionths: a vcpu never gets ahead.
Lost are that thousandth, what the read took after its beginning, and what the load took before it looked at the TSC.
"""

from __future__ import annotations

import struct
from typing import Tuple

from xenvcpu.abi import cpu_record, save_stream
from xenvcpu.abi.save_stream import DESCRIPTOR_LAYOUT, HEADER_LAYOUT, Typecode

_TSC = struct.Struct("<Q")
_OFFSET = DESCRIPTOR_LAYOUT.size + cpu_record.LAYOUT.fields["tsc"].offset
_MASK = (1 << 64) - 1
_BIAS_SHIFT = 10


def _ticks(nanoseconds: int, khz: int) -> int:
    """What a TSC of that frequency counts in so much time at the least."""
    ticks = max(nanoseconds, 0) * khz // 1_000_000
    return ticks - (ticks >> _BIAS_SHIFT)


class Timed:
    """A save stream to load whose CPU records go on in time; what takes long is done when it is made."""

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        places, self._khz = [], 0
        for position, record in save_stream.walk(stream, {Typecode.HEADER, Typecode.CPU}):
            if record.typecode == Typecode.CPU:
                places.append(position + _OFFSET)
            else:
                self._khz = HEADER_LAYOUT.unpack(record.payload)["gtsc_khz"]
        self._places: Tuple[int, ...] = tuple(places)

    def after(self, nanoseconds: int) -> bytes:
        """The stream to load so long after its records were read."""
        ticks, later = _ticks(nanoseconds, self._khz), bytearray(self._stream)
        for place in self._places:
            _TSC.pack_into(later, place, (_TSC.unpack_from(later, place)[0] + ticks) & _MASK)
        return bytes(later)
