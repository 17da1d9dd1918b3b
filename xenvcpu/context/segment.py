# SPDX-License-Identifier: MIT
"""Segments with their hidden parts, and the four ways in which their attributes are written."""

from __future__ import annotations

from dataclasses import dataclass

from xenvcpu.context import attribute_word
from xenvcpu.errors import ContextError

_DPL_SHIFT = 5
_FLAGS = (("s", 4), ("p", 7), ("avl", 8), ("l", 9), ("db", 10), ("g", 11))
VMX_UNUSABLE = attribute_word.UNUSABLE
PAGE = 4096


def _require(name: str, value: int, bits: int) -> None:
    if not isinstance(value, int):
        raise ContextError(f"{name} = {value!r} is not an integer", field=name, value=value, rule="type")
    if not 0 <= value < 1 << bits:
        raise ContextError(
            f"{name} = {value:#x} does not fit {bits} bits", field=name, value=value, rule="range",
            remedy=f"give a value from 0 to {(1 << bits) - 1:#x}",
        )


@dataclass(frozen=True)
class SegmentAttributes:
    """The attributes of a segment by name (SDM volume 3A, 3.4.5; APM volume 2, 4.7).

    Attributes:
        type: 4 bits; for code and data: accessed, writable/readable, expand-down/conforming, code.
        s: 1 for code and data, 0 for a system segment.
        dpl: Descriptor privilege level, 0 to 3.
        p: Present.
        avl: Free for software.
        l: 64-bit code.
        db: Default size: 32-bit code or stack.
        g: The limit of the descriptor counts pages.
    """

    type: int = 0
    s: int = 0
    dpl: int = 0
    p: int = 0
    avl: int = 0
    l: int = 0  # noqa: E741  (the manuals' own name)
    db: int = 0
    g: int = 0

    def __post_init__(self) -> None:
        _require("type", self.type, 4)
        _require("dpl", self.dpl, 2)
        for name, _ in _FLAGS:
            _require(name, getattr(self, name), 1)

    @classmethod
    def from_ar(cls, ar: int) -> SegmentAttributes:
        """From the 12-bit word of Xen (`cs_ar`, `cs_arbytes`), which is SVM's too.

        Raises:
            ContextError: A bit above 11 is set.
        """
        if not 0 <= ar < 1 << 12:
            meant = attribute_word.understood(ar)
            raise ContextError(
                f"ar = {ar:#x} is not a 12-bit word", field="ar", value=ar, rule="range",
                remedy=f"it is in {meant.form} form, which `from_word` reads; Xen's is {meant.ar:#x}",
            )
        return cls(ar & 0xF, dpl=ar >> _DPL_SHIFT & 3, **{name: ar >> bit & 1 for name, bit in _FLAGS})

    @classmethod
    def from_word(cls, word: int) -> SegmentAttributes:
        """From a word in any of the three forms: Xen's, the descriptor form (VMCS, KVM, `xl dmesg`), QEMU's.

        Raises:
            ContextError: It is of none of them, or could be of two.
        """
        return cls.from_ar(attribute_word.understood(word).ar)

    @property
    def ar(self) -> int:
        """Xen's word, with type, s, dpl, p in bits 0 to 7 and avl, l, db, g in 8 to 11."""
        flags: int = sum(getattr(self, name) << bit for name, bit in _FLAGS)
        return self.type | self.dpl << _DPL_SHIFT | flags

    @classmethod
    def from_vmx(cls, rights: int) -> SegmentAttributes:
        """From the VMX access rights (SDM volume 3C, 24.4.1); an unusable segment is null."""
        return cls.from_ar(attribute_word.from_descriptor_form(rights))

    @property
    def vmx(self) -> int:
        """The VMX access rights, with avl, l, db, g in bits 12 to 15 and unusable (bit 16) when null or not present."""
        return self.ar & 0xFF | (self.ar & 0xF00) << 4 | (0 if self.p else VMX_UNUSABLE)

    @classmethod
    def from_svm(cls, attrib: int) -> SegmentAttributes:
        """From the `attrib` of a VMCB segment (APM volume 2, 15.5.1), which is Xen's word."""
        return cls.from_ar(attrib)

    @property
    def svm(self) -> int:
        """The `attrib` of a VMCB segment."""
        return self.ar


@dataclass(frozen=True)
class Segment:
    """A segment register: what software sees (the selector) and its hidden parts.

    Attributes:
        base: Linear address; 64 bits, though most interfaces carry 32.
        limit: The last valid byte offset. Always bytes, whatever G says: flat is 0xffffffff.
        ar: The attribute word as given, not checked; `word` is Xen's, `attributes` has it by name.
        selector: Visible part; VCPUOP_initialise always loads 0.
    """

    base: int = 0
    limit: int = 0
    ar: int = 0
    selector: int = 0

    def __post_init__(self) -> None:
        _require("base", self.base, 64)
        _require("limit", self.limit, 32)
        _require("ar", self.ar, 32)
        _require("selector", self.selector, 32)

    @property
    def word(self) -> int:
        """Xen's attribute word, whichever of the three forms `ar` has.

        Raises:
            ContextError: `ar` is of none of them, or could be of two.
        """
        return attribute_word.understood(self.ar).ar

    @property
    def attributes(self) -> SegmentAttributes:
        """The attributes by name. Raises as `word`."""
        return SegmentAttributes.from_ar(self.word)

    @classmethod
    def from_descriptor(cls, descriptor: int, selector: int = 0) -> Segment:
        """From an 8-byte GDT or LDT descriptor, its limit turned into bytes as G says."""
        base = descriptor >> 16 & 0xFFFFFF | descriptor >> 32 & 0xFF000000
        limit = descriptor & 0xFFFF | descriptor >> 32 & 0xF0000
        ar = descriptor >> 40 & 0xFF | descriptor >> 44 & 0xF00
        scaled = limit * PAGE + PAGE - 1 if ar & 0x800 else limit
        return cls(base, scaled, ar, selector)

    @property
    def descriptor(self) -> int:
        """The 8-byte descriptor; G says how the limit is stored there.

        Raises:
            ContextError: The base has more than 32 bits, G does not go with the limit, or as `word`.
        """
        _require("base", self.base, 32)
        ar = self.word
        is_paged = bool(ar & 0x800)
        if is_paged and self.limit % PAGE != PAGE - 1 or not is_paged and self.limit >> 20:
            raise ContextError(
                f"limit {self.limit:#x} cannot stand in a descriptor with G = {int(is_paged)}", field="limit",
                value=self.limit, rule="limit-granularity",
                remedy="with G the low 12 bits are all ones; without, the limit has at most 20 bits",
            )
        limit = self.limit // PAGE if is_paged else self.limit
        low = limit & 0xFFFF | (self.base & 0xFFFFFF) << 16
        high = ar & 0xFF | (limit >> 16) << 8 | (ar & 0xF00) << 4 | (self.base >> 24) << 16
        return low | high << 40


@dataclass(frozen=True)
class DescriptorTable:
    """GDTR or IDTR: linear base, and the last valid byte offset."""

    base: int = 0
    limit: int = 0

    def __post_init__(self) -> None:
        _require("base", self.base, 64)
        _require("limit", self.limit, 32)
