# SPDX-License-Identifier: MIT
"""What a host says of itself, where a verdict depends on it: its processor's vendor, whether Xen is a debug build."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Optional, Protocol, TypeVar

from xenvcpu.errors import RefusedContextError
from xenvcpu.rules.features import Features

_T = TypeVar("_T")
_BUILD = "is_debug_build"


class HostWord(Protocol):
    """A host that can be asked."""

    @property
    def vendor(self) -> Optional[str]:
        """`intel` or `amd`; None where the processor is of neither kind, or not to be seen."""

    def is_debug_build(self) -> Optional[bool]:
        """Whether Xen is a debug build; None where it does not say."""


def judged(host: HostWord, features: Features, judge: Callable[[Features], _T]) -> _T:
    """Judge with what the host says. What a caller says of the build never counts, for it protects the host.

    Xen is asked about its build only where a refusal depends on that: hardly any context comes to it.

    Args:
        host: The host.
        features: What is known of the domain's CPU policy. A vendor in it is kept.
        judge: Judges with some features; it may be called twice.

    Raises:
        RefusedContextError: As `judge` does with all that can be known.
    """
    given = replace(features, vendor=features.vendor or host.vendor, is_debug_build=None)
    try:
        return judge(given)
    except RefusedContextError as error:
        word = host.is_debug_build() if _BUILD in error.verdict.depends_on else None
        if word is None:
            raise
    return judge(replace(given, is_debug_build=word))
