# SPDX-License-Identifier: MIT
"""A domain that a test creates and that is gone after it."""

import itertools
import os
from typing import Dict, List, Mapping, Optional, Tuple

from integration.evidence import paging, xl
from integration.evidence.foreign import GuestMemory
from integration.evidence.stubs import StubArea

_numbers = itertools.count(1)


class GuestDomain:
    """A domain made by ``xl create``; use it as a context manager.

    A crashed domain stays to be looked at, one that reboots goes: by default it
    would come back under a new domid.

    Args:
        kind: First part of its name, if the configuration has none; the whole is unique.
        config: Its configuration; event actions only to override ours.

    Attributes:
        name: Its name.
        domid: Its domid.
        memory: Its guest-physical memory.
    """

    def __init__(self, kind: str, config: Mapping[str, xl.ConfigValue]) -> None:
        self.name = str(config.get("name", f"{kind}-{os.getpid()}-{next(_numbers)}"))
        self.domid = xl.create(
            {
                "name": self.name,
                "on_poweroff": "preserve",
                "on_reboot": "destroy",
                "on_crash": "preserve",
                # left to itself, Xen intercepts RDTSC on hosts whose TSC it does not
                # trust, and an emulator may then mistake RDTSCP for RDTSC
                "tsc_mode": "native",
                **config,
            }
        )
        self.memory = GuestMemory(self.domid)
        self._tables: Optional[paging.Roots] = None

    def destroy(self) -> None:
        """Destroys the domain; may be called again."""
        self.memory.close()
        xl.destroy(self.domid)

    def read(self, address: int, size: int) -> bytes:
        """Returns guest-physical memory."""
        return self.memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Writes guest-physical memory."""
        self.memory.write(address, data)

    def state(self) -> Optional[str]:
        """Returns the letters of ``xl list`` (``c`` crashed, ``s`` shut down), None if gone."""
        return xl.state(self.domid)

    def vcpu_states(self) -> Dict[int, str]:
        """Returns the letters of ``xl vcpu-list`` by vcpuid; ``--p`` is down."""
        return xl.vcpu_list(self.domid)

    def online(self) -> List[int]:
        """Returns the vcpus that are up, as ``xl`` sees them."""
        return xl.online(self.domid)


class StubbedDomain(GuestDomain):
    """A domain with room for stubs and page tables.

    Args:
        kind: As in GuestDomain.
        config: As in GuestDomain.
        tables: Where page tables may be written.
    """

    def __init__(self, kind: str, config: Mapping[str, xl.ConfigValue], tables: int) -> None:
        super().__init__(kind, config)
        self._tables_base = tables
        self.stubs: StubArea

    def page_tables(self) -> paging.Roots:
        """Writes identity page tables (once) and returns their roots."""
        if self._tables is None:
            self.memory.write(self._tables_base, paging.build(self._tables_base))
            self._tables = paging.roots(self._tables_base)
        return self._tables

    def forget_use(self, address: int) -> None:
        """Lets the page tables say that nobody has read or written the 2 MiB around an address."""
        self.page_tables()
        entry = paging.entry_of(self._tables_base, address)
        self.memory.write_word(entry, self.memory.read_word(entry, 8) & ~paging.USED, 8)

    def was_used(self, address: int) -> bool:
        """Says whether a processor has read and written there through the page tables since."""
        return self.memory.read_word(paging.entry_of(self._tables_base, address), 8) & paging.USED == paging.USED

    def place_stub(
        self,
        kind: str,
        vcpuid: int,
        *,
        wanted: Tuple[str, ...] = (),
        data_base: int = 0,
        stack_base: int = 0,
        rests: bool = False,
    ) -> int:
        """Writes a stub for a vcpu and returns its entry; see ``StubArea.place``."""
        return self.stubs.place(
            kind, vcpuid, wanted=wanted, data_base=data_base, stack_base=stack_base, rests=rests
        )

    def dump(self, vcpuid: int, timeout: float = 30.0) -> Dict[str, int]:
        """Waits until the vcpu ran its stub and returns what it saw, by name."""
        return self.stubs.dump(vcpuid, timeout)
