# SPDX-License-Identifier: MIT
"""A context as its author wrote it: what a finding names and shows, whichever interface the context goes through.

The rules judge the struct that an interface takes. The encoder fills it with more than was given, and changes some of
that, so the names and values of the struct are not those to speak of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterator, Mapping, Tuple

from xenvcpu.abi import cpu_record, vcpu_hvm_context
from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.context.segment import DescriptorTable, Segment
from xenvcpu.context.vcpu_context import VcpuContext

_GENERAL = tuple("ax cx dx bx sp bp si di ip flags".split())
_NAMES_64B = {"msr_efer": "efer", **{f"{name}_arbytes": f"{name}_ar" for name in cpu_record.SEGMENTS}}
NAMES: Mapping[Mode, Mapping[str, str]] = {
    Mode.VCPU_HVM_MODE_64B: _NAMES_64B,
    Mode.VCPU_HVM_MODE_32B: {**_NAMES_64B, **{f"r{name}": f"e{name}" for name in _GENERAL}},
}
"""The key of a context file for a field of the CPU record, where it has another name."""


@dataclass(frozen=True)
class Written:
    """A context under the keys of a context file.

    Attributes:
        names: The key for a field of the CPU record, where it has another name.
        values: What was given, by key.
    """

    names: Mapping[str, str]
    values: Mapping[str, int]

    @classmethod
    def of(cls, context: VcpuContext) -> Written:
        """A context as it was given."""
        names = NAMES[context.mode]
        values: Dict[str, int] = {}
        for name, segment in _segments(context):
            values.update({
                f"{name}_base": segment.base, f"{name}_limit": segment.limit, f"{name}_ar": segment.ar,
                f"{name}_sel": segment.selector,
            })
        for name, value in context:
            if isinstance(value, DescriptorTable):
                values.update({f"{name}_base": value.base, f"{name}_limit": value.limit})
            elif isinstance(value, int) and name != "mode":
                values[names.get(name, name)] = value
        return cls(names, values)


def _segments(context: VcpuContext) -> Iterator[Tuple[str, Segment]]:
    """The segments that a context gives; in 32B mode those that it leaves out are null."""
    is_narrow = context.mode is Mode.VCPU_HVM_MODE_32B
    for name in cpu_record.SEGMENTS:
        segment = getattr(context, name)
        if segment is not None:
            yield name, segment
        elif is_narrow and name in vcpu_hvm_context.SEGMENTS:
            yield name, Segment()
