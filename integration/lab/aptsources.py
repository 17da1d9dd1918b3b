# SPDX-License-Identifier: MIT
"""Debian package sources for any suite, derived from the machine's own.

No mirror is named here: the machine already knows where its packages come from.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from integration.lab.errors import HostCannotError

MIRROR_VARIABLE = "XENVCPU_DEBIAN_MIRROR"
SECURITY_VARIABLE = "XENVCPU_DEBIAN_SECURITY_MIRROR"

_CODENAMES = frozenset(
    "buster bullseye bookworm trixie forky duke sid oldoldstable oldstable stable testing unstable".split()
)
#: Suites that have neither a security nor an updates archive.
_ROLLING = frozenset(("sid", "unstable"))


@dataclass(frozen=True)
class Source:
    """One archive of the machine: where it is, what is taken, which key signs it."""

    uri: str
    suite: str
    signed_by: str = ""

    def line(self, suite: str) -> str:
        """Returns a ``sources.list`` line for another suite of this archive."""
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {option}{self.uri} {suite} main"


def parse_list(text: str) -> Iterator[Source]:
    """Reads the one-line format of ``sources.list``."""
    pattern = re.compile(r"^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$")
    for line in text.splitlines():
        match = pattern.match(line.split("#", 1)[0].strip())
        if match:
            key = re.search(r"signed-by=(\S+)", match[1] or "")
            yield Source(match[2], match[3], key[1] if key else "")


def parse_deb822(text: str) -> Iterator[Source]:
    """Reads the stanza format of ``*.sources``."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        if fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        key = fields.get("signed-by", "")
        key = key if key.startswith("/") and "\n" not in key else ""
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, key)


def _fields(stanza: str) -> Dict[str, str]:
    fields: Dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace() and name:
            fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def machine_sources(apt_dir: Path = Path("/etc/apt")) -> List[Source]:
    """Returns every binary source that apt is configured with."""
    found: List[Source] = []
    parts = apt_dir / "sources.list.d"
    for path in (apt_dir / "sources.list", *sorted(parts.glob("*.list"))):
        if path.is_file():
            found.extend(parse_list(path.read_text(errors="replace")))
    for path in sorted(parts.glob("*.sources")):
        found.extend(parse_deb822(path.read_text(errors="replace")))
    return found


def _archives(sources: Sequence[Source]) -> Tuple[Optional[Source], Optional[Source]]:
    main = next((s for s in sources if s.suite in _CODENAMES), None)
    security = next(
        (s for s in sources if re.fullmatch(r"\w+(-security|/updates)", s.suite)), None
    )
    override = os.environ.get(MIRROR_VARIABLE)
    if override:
        main = Source(override, "", main.signed_by if main else "")
    override = os.environ.get(SECURITY_VARIABLE)
    if override:
        security = Source(override, "", security.signed_by if security else "")
    return main, security


def lines_for(suite: str, sources: Optional[Sequence[Source]] = None) -> List[str]:
    """Returns ``sources.list`` lines that serve ``suite``.

    Raises:
        HostCannotError: The machine has no Debian archive configured.
    """
    main, security = _archives(machine_sources() if sources is None else sources)
    if main is None:
        raise HostCannotError(
            [f"no Debian archive in the apt sources; set {MIRROR_VARIABLE} to one"]
        )
    lines = [main.line(suite)]
    if suite not in _ROLLING:
        lines.append(main.line(f"{suite}-updates"))
        if security:
            lines.append(security.line(f"{suite}-security"))
    return lines
