# SPDX-License-Identifier: MIT
"""VCPUS on the command line."""

from __future__ import annotations

import click

from xenvcpu import vcpuset
from xenvcpu.errors import ContextError
from xenvcpu.vcpuset import ALL, LARGEST, named, secondary, show

__all__ = ["ALL", "LARGEST", "named", "parse", "parse_one", "secondary", "show"]


def parse(context: click.Context, argument: click.Parameter, text: str) -> tuple[int, ...] | None:
    """The vcpuids in order, each once; None for `all`. A click callback.

    Raises:
        click.BadParameter: Not a set of vcpus.
    """
    try:
        return vcpuset.parse(text)
    except ContextError as exc:
        raise click.BadParameter(str(exc)) from exc


def parse_one(context: click.Context, argument: click.Parameter, text: str) -> int:
    """The vcpuid of one vcpu. A click callback.

    Raises:
        click.BadParameter: Not one vcpu.
    """
    found = parse(context, argument, text)
    if found is None or len(found) > 1:
        raise click.BadParameter(f"{text!r} is more than one vcpu: one at a time, such as 1")
    return found[0]
