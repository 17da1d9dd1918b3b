# SPDX-License-Identifier: MIT
"""What shells complete our arguments with. Nothing here fails aloud: without an answer there is nothing to complete."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from xenvcpu.cli.contexts import PRESET
from xenvcpu.cli.options import Session
from xenvcpu.errors import XenVcpuError

_PLAIN = re.compile(r"[\w.+@-]+")
"""A name that a shell takes for one word, whatever it does with it: others are not offered."""


def _items(names: Iterable[str | None], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name and name.startswith(incomplete) and _PLAIN.fullmatch(name)]


def domain(context: click.Context, argument: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the host's domains; inside a guest, `self`."""
    from xenvcpu.host import SELF, open_host

    session = context.find_root().ensure_object(Session)
    with suppress(XenVcpuError, OSError), open_host(session.host) as host:
        return _items([SELF] if host.is_inside else [found.name for found in host.domains()], incomplete)
    return []


def libvirt_domain(context: click.Context, argument: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of libvirt's domains, of those too that do not run."""
    from xenvcpu.toolstacks.libvirt.connection import Connection

    with suppress(XenVcpuError, OSError), Connection(context.params.get("uri")) as connection:
        return _items([found.name() for found in connection.raw.listAllDomains()], incomplete)
    return []


def context_file(context: click.Context, argument: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, and once a word begins like `preset:`, the presets."""
    from xenvcpu.context.presets import PRESETS

    if incomplete and (PRESET.startswith(incomplete) or incomplete.startswith(PRESET)):
        return [CompletionItem(f"{PRESET}{name}") for name in PRESETS if f"{PRESET}{name}".startswith(incomplete)]
    return [CompletionItem(incomplete, type="file")]


class Bash(BashComplete):
    """Completion for bash, which takes `model:demo.json` for three words, and completes the last."""

    _before = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words of the line, whole, and the one that is completed."""
        args, incomplete = super().get_completion_args()
        words = [""]
        for word in (*args, incomplete):
            if word == ":" or words[-1].endswith(":"):
                words[-1] += word
            else:
                words.append(word)
        self._before = words[-1][: words[-1].rfind(":") + 1]
        return words[1:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """An item as the script reads it: what stands behind the last colon."""
        value = item.value[len(self._before) :] if item.value.startswith(self._before) else item.value
        return f"{item.type},{value}"


add_completion_class(Bash)
