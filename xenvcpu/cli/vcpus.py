# SPDX-License-Identifier: MIT
"""VCPUS on the command line."""

from __future__ import annotations

import click

from xenvcpu import vcpuset
from xenvcpu.errors import ContextError
from xenvcpu.vcpuset import ALL, LARGEST, secondary, show

__all__ = ["ALL", "LARGEST", "parse", "secondary", "show"]


def parse(context: click.Context, argument: click.Parameter, text: str) -> tuple[int, ...] | None:
    """The vcpuids in order, each once; None for `all`. A click callback.

    Raises:
        click.BadParameter: Not a set of vcpus.
    """
    try:
        return vcpuset.parse(text)
    except ContextError as exc:
        raise click.BadParameter(str(exc)) from exc
