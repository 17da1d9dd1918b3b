# SPDX-License-Identifier: MIT
"""The C libraries of a model: the shape of `xenvcpu.libraries.Libraries`, with Xen in memory behind it."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, Counter, Dict, List, NamedTuple, Optional, Tuple

from xenvcpu._xen import ffi
from xenvcpu.capturedlog import CapturedLog
from xenvcpu.model.faults import Faults
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.libc import LibC
from xenvcpu.model.libxencall import LibXenCall
from xenvcpu.model.libxenctrl import LibXenCtrl
from xenvcpu.model.libxenguest import LibXenGuest
from xenvcpu.model.libxenforeignmemory import LibXenForeignMemory
from xenvcpu.model.libxenstore import LibXenStore
from xenvcpu.model.libxentoollog import LibXenToolLog

if TYPE_CHECKING:
    from types import TracebackType

    from xenvcpu.model.openworld import OpenWorld


class Call(NamedTuple):
    """One call of a C function: its name, and its arguments that are numbers (None for a pointer)."""

    name: str
    arguments: Tuple[Optional[int], ...]


class ModelLibraries(Faults):
    """Stand-ins for the C libraries of one process, all before one host.

    Attributes:
        ffi: The cffi object that makes and reads C values for all of them.
        host: The Xen behind them. Before a world file it is as of the last C call, and another object
            whenever another process has changed the file; handles and mappings live on.
        here: The domid of the domain that the caller stands in.
        is_matching: Whether libxenctrl was built for the running Xen (EACCES else).
        calls: Every call that was made, in order.
        xenctrl, xenguest, xencall, xenforeignmemory, xenstore, xentoollog, libc: The libraries.

    Synchronization: not for use from two threads at once.
    """

    def __init__(
        self, host: Hypervisor, here: int = 0, *, is_matching: bool = True, world: Optional[OpenWorld] = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            host: The Xen behind the libraries.
            here: The domid of the domain that the caller stands in; 0 is dom0.
            is_matching: Whether libxenctrl was built for the running Xen.
            world: The world file that `host` is in; None for a host in memory.
        """
        super().__init__()
        self.ffi = ffi
        self.host = host
        self.here = here
        self.is_matching = is_matching
        self.calls: List[Call] = []
        self._world = world
        self.libc = LibC()
        self.xenctrl = LibXenCtrl(self)
        self.xenguest = LibXenGuest(self)
        self.xencall = LibXenCall(self)
        self.xenforeignmemory = LibXenForeignMemory(self)
        self.xenstore = LibXenStore(self)
        self.xentoollog = LibXenToolLog(self)

    def __enter__(self) -> ModelLibraries:
        return self

    def __exit__(self, kind: Optional[type], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ModelLibraries Xen {self.host.release}, {len(self.host.domains)} domains, here {self.here}>"

    def close(self) -> None:
        """Leave the model: what is not yet in its world file is written. A second time does nothing."""
        if self._world is None:
            return
        try:
            if self.xenforeignmemory.open_mappings:
                self.before_call()
        finally:
            self.after_call()
            world, self._world = self._world, None
            world.close()

    @property
    def vendor(self) -> Optional[str]:
        """Whose processor the host has."""
        return self.host.vendor

    @property
    def has_xsave(self) -> bool:
        """Whether the host's processor has XSAVE."""
        return bool(self.host.xfeature_mask)

    def nanoseconds(self) -> int:
        """A clock of the host."""
        return self.host.clock.nanoseconds

    @property
    def path(self) -> Optional[str]:
        """The world file behind the libraries, for another process to open; None for a host in memory."""
        return None if self._world is None else self._world.path

    def new_log(self) -> CapturedLog:
        """A log to open a library's handle with."""
        shaped_alike: Any = self
        return CapturedLog(shaped_alike)

    @property
    def counts(self) -> Counter[str]:
        """How often each C function was called."""
        return collections.Counter(call.name for call in self.calls)

    @property
    def leaks(self) -> Dict[str, int]:
        """What is still open or not freed, by library; empty for a program that cleaned up, or was killed."""
        if self.is_killed:
            return {}
        libraries = (self.xenctrl, self.xenguest, self.xencall, self.xenforeignmemory, self.xenstore, self.xentoollog)
        found = {library.name: library.open_handles for library in libraries}
        found.update(buffers=self.xencall.open_buffers, libc=self.libc.unfreed)
        found.update(mappings=self.xenforeignmemory.open_mappings)
        return {name: count for name, count in found.items() if count}

    # What follows is for the stand-ins.

    def note(self, name: str, arguments: Tuple[Any, ...]) -> None:
        """Note a call."""
        self.calls.append(Call(name, tuple(each if isinstance(each, int) else None for each in arguments)))

    def before_call(self) -> None:
        """Have the host before a call that reaches Xen; in memory it is always there."""
        if self._world is not None:
            self.host = self._world.begin()
            self.host.changes += self.xenforeignmemory.exchange(self.host)

    def after_call(self) -> None:
        """Give the host back after the call."""
        if self._world is not None:
            self._world.end()
