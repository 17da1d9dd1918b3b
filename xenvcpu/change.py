# SPDX-License-Identifier: MIT
"""A change of one domain, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Tuple, Type

from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.allowances import Allowances
from xenvcpu.calls import Calls
from xenvcpu.errors import ChangeError
from xenvcpu.savedstate import SavedState


class Change(Protocol):
    """A change of one domain: a pure value, that says what to do once the domain has been read."""

    @property
    def verb(self) -> str:
        """`start`, `stop` or `recover`."""

    @property
    def domain(self) -> DomainInfo:
        """The domain as it was looked up."""

    @property
    def vcpuids(self) -> Tuple[int, ...]:
        """The vcpus that are changed."""

    @property
    def loads(self) -> bool:
        """Whether it loads CPU records; otherwise only a put-back does."""

    @property
    def allow(self) -> Allowances:
        """What it may do although it would be refused."""

    @property
    def failed(self) -> Type[ChangeError]:
        """The error for a change that Xen took and did otherwise."""

    def calls(self, found: SavedState) -> Calls:
        """What to ask of Xen; raises to refuse it, when nothing has been touched yet."""


@dataclass(frozen=True)
class Outcome:
    """What a change came to.

    Attributes:
        found: The domain before.
        pause_seconds: How long it was held paused; the last time, where an access to a device was waited for.
        is_paused: Whether somebody else holds it paused still.
        notes: What went wrong on the way and was mended, one sentence each.
    """

    found: SavedState
    pause_seconds: float
    is_paused: bool = False
    notes: Tuple[str, ...] = ()
