# SPDX-License-Identifier: MIT
"""Xen in memory: domains, vcpus and the two interfaces, for a chosen release, down to the byte and the errno.

The pure state machine (`hypervisor`, `domain`, `vcpu`, `vcpuop`, `domctl`, `save`, `load`)
knows no C. Above it stand-ins for the C libraries (`libraries`) offer the same functions
as the real ones, with real cffi pointers and `errno`, so that the ports and all that is
built on them run unchanged. `worlds` has ready-made machines, `worldfile` keeps one in a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xenvcpu.model.libraries import ModelLibraries


def open_model(spec: str) -> ModelLibraries:
    """Open a model as `--host model:SPEC` names it.

    Args:
        spec: The name of a built-in world (`xenvcpu.model.worlds.NAMES`), or the path of a world file; with
            `@DOMID` or `@NAME` behind it, the caller stands in that domain and not in dom0.

    Returns:
        The C libraries of that machine. Close them when done.

    Raises:
        ContextError: No such world or domain.
        WorldFileError: The file is not a world.
    """
    from xenvcpu.model.worlds import open_world_at

    return open_world_at(spec)
