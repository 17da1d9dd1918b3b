# SPDX-License-Identifier: MIT
"""Which of the three forms a word of segment attributes has, read before anything else touches it.

Xen's and SVM's has 12 bits. In the descriptor form, that of the VMCS, KVM and `xl dmesg`, the flags stand in bits 15
to 12, and bit 16 says that the segment is unusable. QEMU's `info registers` shifts the descriptor by 8 bits and leaves
the top of the limit in bits 19 to 16. A word that could be of two forms, or is of none, is not guessed at.
"""

from __future__ import annotations

from typing import Iterator, NamedTuple, Tuple

from xenvcpu.errors import ContextError

UNUSABLE = 1 << 16
XEN, DESCRIPTOR, QEMU = "Xen", "descriptor", "QEMU"
_LOW, _FLAGS, _PRESENT, _TYPE_AND_S = 0xFF, 0xF00, 0x80, 0x1F
_XEN_BITS, _DESCRIPTOR_BITS, _QEMU_BITS = 12, 17, 24


class Word(NamedTuple):
    """A word of attributes, understood.

    Attributes:
        ar: Xen's word of 12 bits.
        form: The form that it was given in.
    """

    ar: int
    form: str


def from_descriptor_form(word: int) -> int:
    """Xen's word for one whose flags stand in bits 15 to 12; an unusable segment is null."""
    return 0 if word & UNUSABLE else word & _LOW | word >> 4 & _FLAGS


def _readings(word: int) -> Iterator[Word]:
    """All readings that describe a segment; no word above 12 bits is Xen's."""
    is_gap_clear = not word & _FLAGS
    if not word >> _DESCRIPTOR_BITS and is_gap_clear and word & (_LOW | UNUSABLE):
        yield Word(from_descriptor_form(word), DESCRIPTOR)
    access = word >> 8 & _LOW
    if not word >> _QEMU_BITS and not word & _LOW and access & _PRESENT and access & _TYPE_AND_S:
        yield Word(access | word >> 12 & _FLAGS, QEMU)


def understood(word: int) -> Word:
    """The word in Xen's form, whichever it was given in.

    Raises:
        ContextError: It is of no form, or could be of two; the remedy is the word to write.
    """
    if 0 <= word < 1 << _XEN_BITS:
        return Word(word, XEN)
    readings = tuple(_readings(word))
    if len(readings) == 1:
        return readings[0]
    raise ContextError(
        f"{word:#x} is not a 12-bit word of segment attributes", field="ar", value=word, rule="ar-form",
        remedy=_remedy(word, readings),
    )


def _remedy(word: int, readings: Tuple[Word, ...]) -> str:
    if readings:
        meant = ", ".join(f"{reading.ar:#x} if it is in {reading.form} form" for reading in readings)
        return f"it can be read in two ways: write {meant}"
    if word < 0 or word >> 16 or not word & _LOW:
        return "write Xen's: type, S, DPL and P in bits 0 to 7, AVL, L, D/B and G in 8 to 11"
    # The upper half of a descriptor in a GDT has four bits of the limit between the two.
    upper, lower = from_descriptor_form(word), word & 0xFFF
    if upper == lower:
        return f"write {upper:#x}"
    return f"write {upper:#x} if bits 15 to 12 are the flags, {lower:#x} if 11 to 8 are"
