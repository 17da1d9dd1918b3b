# SPDX-License-Identifier: MIT
"""Start, inspect and stop the vcpus of Xen HVM and PVH guests, at any CPU state.

`import xenvcpu` does no work: what `xenvcpu.api` offers is loaded when it is first used.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from xenvcpu import api

    if name in api.__all__:
        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
