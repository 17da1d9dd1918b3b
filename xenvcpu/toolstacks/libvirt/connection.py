# SPDX-License-Identifier: MIT
"""A connection to libvirt, and where it leads."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, Union
from urllib.parse import urlsplit
from uuid import UUID

from xenvcpu.errors import HostError, NoSuchDomainError
from xenvcpu.toolstacks.libvirt.domain import LibvirtDomain
from xenvcpu.toolstacks.libvirt.library import LibvirtError, library, told

if TYPE_CHECKING:
    from types import TracebackType


def is_remote(uri: str) -> bool:
    """Whether a URI leads to another machine, as far as it says.

    libvirt: a host, or a transport other than `unix`, makes it remote.
    """
    parts = urlsplit(uri)
    transport = parts.scheme.partition("+")[2]
    return bool(parts.netloc) or transport not in ("", "unix")


def require_local(uri: Optional[str]) -> None:
    """The vcpus of the domains behind a URI are this machine's.

    Raises:
        HostError: It leads to another machine: domains can be looked at and declared there, not started from here.
    """
    if uri is not None and is_remote(uri):
        raise HostError(f"{uri} is another machine: vcpus are started there; run this on it")


class Connection:
    """A connection to libvirt.

    Attributes:
        raw: libvirt's own.
        uri: Where it leads.

    Synchronization: not for use from two threads at once.
    """

    def __init__(self, uri: Optional[str] = None) -> None:
        """Connect.

        Args:
            uri: Where to; libvirt's own choice if None.

        Raises:
            LibraryMissingError: libvirt-python is not installed.
            HostError: libvirt does not answer.
        """
        self.raw: Any = None
        try:
            with told(f"connecting to {uri or 'libvirt'}"):
                self.raw = library().open(uri)
                self.uri: str = self.raw.getURI()
        except LibvirtError as error:
            raise HostError(str(error)) from error

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: Optional[type], value: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time does nothing. Of a connection that is broken nothing is told."""
        raw, self.raw = self.raw, None
        if raw is not None:
            with suppress(library().libvirtError):
                raw.close()

    def domain(self, which: Union[str, UUID]) -> LibvirtDomain:
        """One domain, by UUID, name, or number.

        Raises:
            NoSuchDomainError: There is none.
            LibvirtError: libvirt refused.
        """
        text = str(which)
        for look in (*self._ways(text), None):
            with told(f"domain {text!r}"):
                if look is None:
                    return LibvirtDomain(self.raw.lookupByName(text))
                with suppress(NoSuchDomainError), told(text):
                    return LibvirtDomain(look(text))
        raise AssertionError("the name is the last way")

    def _ways(self, text: str) -> Iterator[Callable[[str], Any]]:
        """What a text may be other than a name; in this order, as virsh has it."""
        if text.isascii() and text.isdigit() and len(text) < 6:
            yield lambda number: self.raw.lookupByID(int(number))
        with suppress(ValueError):
            UUID(text)
            yield self.raw.lookupByUUIDString
