# SPDX-License-Identifier: MIT
"""The C library behind the stand-ins: the real one, but for `free` of what a stand-in has returned."""

from __future__ import annotations

from typing import Any, Dict

from xenvcpu._xen import ffi
from xenvcpu.model.standin import address


class LibC:
    """The C library of this process."""

    def __init__(self) -> None:
        self._real: Any = ffi.dlopen(None)
        self._allocated: Dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def allocate(self, memory: Any, *more: Any) -> Any:
        """Hand out memory that the caller is to free; `more` lives as long."""
        self._allocated[address(memory)] = (memory, more)
        return memory

    def free(self, memory: Any) -> None:
        """Free what a stand-in or the C library has allocated."""
        if self._allocated.pop(address(memory), None) is None:
            self._real.free(memory)

    @property
    def unfreed(self) -> int:
        """How many results of stand-ins are not freed."""
        return len(self._allocated)
