# SPDX-License-Identifier: MIT
"""A stage is an environment of tox.ini, which has all there is to know about it.

Besides tox's own keys a section may have two of ours:

    debian    packages of Debian that its tests use; a dot is what debian/control asks for to build
    emulates  whether it boots an emulated Xen host, which gets a processor to itself
"""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

ROOT = Path(__file__).resolve().parents[2]
_PREFIX = "testenv:"


class UnknownStageError(Exception):
    """A word names neither a stage nor a label."""


@dataclass(frozen=True)
class Stage:
    """One environment of tox.ini.

    Attributes:
        name: What `tox -e` and `make` call it.
        description: What it shows.
        labels: The runs that it is part of.
        debian: The packages of Debian that it uses.
        emulates: Whether it boots an emulated Xen host.
    """

    name: str
    description: str = ""
    labels: Tuple[str, ...] = ()
    debian: Tuple[str, ...] = ()
    emulates: bool = False


def _words(text: str) -> Tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _environments(header: str) -> List[str]:
    """The environments of a section's name: `py{39,310}` is two."""
    head, _, rest = header.partition("{")
    inner, _, tail = rest.partition("}")
    return [f"{head}{one}{tail}" for one in inner.split(",")] if rest else [head]


def stages(path: Path = ROOT / "tox.ini") -> Dict[str, Stage]:
    """Every stage by its name, in the order of the file."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path, encoding="utf-8")
    found = {}
    for header in parser.sections():
        if not header.startswith(_PREFIX):
            continue
        section = parser[header]
        for name in _environments(header[len(_PREFIX):]):
            found[name] = Stage(
                name, section.get("description", ""), _words(section.get("labels", "")),
                _words(section.get("debian", "")), section.getboolean("emulates", False),
            )
    return found


def chosen(words: Sequence[str], known: Dict[str, Stage]) -> List[Stage]:
    """The stages that words name, by their own names or by labels, in the order of the file.

    A word that begins with `-` leaves out what it names: `all -test` is what `test` has not run.

    Raises:
        UnknownStageError: A word names nothing.
    """
    names = set()
    for word in words:
        label = word.lstrip("-")
        matching = {name for name, stage in known.items() if label in (name, *stage.labels)}
        if not matching:
            labels = sorted({label for stage in known.values() for label in stage.labels})
            raise UnknownStageError(f"no stage {label!r}; stages: {', '.join(known)}; labels: {', '.join(labels)}")
        names = names - matching if word.startswith("-") else names | matching
    return [stage for name, stage in known.items() if name in names]


def log_of(stage: Stage) -> Path:
    """The file that takes what a stage prints."""
    return ROOT / "build/stages" / f"{stage.name}.log"


def report_of(stage: Stage) -> Path:
    """The JUnit XML that a stage of pytest leaves: `{env_log_dir}/junit.xml` in tox.ini."""
    return Path(os.environ.get("TOX_WORK_DIR", ROOT / ".tox")) / stage.name / "log/junit.xml"
