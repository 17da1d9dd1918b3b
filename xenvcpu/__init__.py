# SPDX-License-Identifier: MIT
# ruff: noqa: F403, F405  (the names come lazily, see __getattr__; type checkers get them at once)
"""Start, inspect and stop the vcpus of Xen HVM and PVH guests, at any CPU state.

`import xenvcpu` does no work: what `xenvcpu.api` offers is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it, without the import of typing
if TYPE_CHECKING:
    from xenvcpu.api import *

__version__ = "0.1.0"

__all__ = [
    "PRESETS", "Allowances", "DescriptorTable", "Dom0Domain", "Features", "Finding", "GuestDomain", "Host", "Level",
    "Mode", "Release", "Segment", "SegmentAttributes", "StartReport", "VcpuContext", "VcpuState", "Verdict",
    "check_context", "check_record", "compat32", "flat32", "long64", "open_host", "pae32", "pvh", "real16",
]


def __getattr__(name: str) -> object:
    # Also asked for every `from xenvcpu import SUBMODULE`, which must not load the whole interface.
    if name in __all__:
        return getattr(import_module("xenvcpu.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
