# SPDX-License-Identifier: MIT
"""The files of verdicts: one for each release, JSON in xz."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from integration.verdicts.recipe import Claim, Recipe
from integration.verdicts.traces import Seen, Step

FOLDER = Path(__file__).resolve().parents[2] / "tests/data/verdicts"
SEQUENCES = FOLDER / "sequences.xz"
FORMAT = 1
CRASH, REBOOT = "crash", "reboot"
"""The domain was crashed; a vcpu of it shut it down by a triple fault."""
RUNS, WAITS, STRAYS = "runs", "waits", "strays"
"""A vcpu that was let run: it runs where it was started; not at all; it runs, but somewhere else."""


class Verdict(NamedTuple):
    """What Xen said to a recipe.

    Attributes:
        recipe: The recipe.
        errno: Zero, or what it answered with.
        lines: What it printed, without "(XEN)", the domain called 1.
        outcome: What became of the domain, or of the vcpu if it was let run; empty for nothing.
    """

    recipe: Recipe
    errno: int
    lines: Tuple[str, ...] = ()
    outcome: str = ""


class Recording(NamedTuple):
    """All verdicts of one release.

    Attributes:
        xen: The release as Xen tells it.
        features: What each domain may do, by the fields of ``Features``.
        bases: The sound contexts, by interface and name.
        verdicts: The verdicts.
        traces: Sequences of steps, each with what was seen after every step.
    """

    xen: str
    features: Mapping[str, Mapping[str, Any]]
    bases: Mapping[str, Mapping[str, int]]
    verdicts: List[Verdict]
    traces: List[Tuple[List[Step], List[Seen]]]


def _row(verdict: Verdict) -> List[Any]:
    kind, domain, target, base, changes, claim = verdict.recipe
    return [kind, domain, target, base, changes, claim, verdict.errno, verdict.lines, verdict.outcome]


def _verdict(row: List[Any]) -> Verdict:
    kind, domain, target, base, changes, claim, number, lines, outcome = row
    recipe = Recipe(kind, domain, target, base, changes, Claim(*claim) if claim else None)
    return Verdict(recipe, number, tuple(lines), outcome)


def dump(recording: Recording) -> bytes:
    """The recording as text."""
    head: Dict[str, Any] = {"format": FORMAT, "xen": recording.xen, "features": recording.features}
    head["bases"] = recording.bases
    rows = ",\n".join(json.dumps(_row(verdict), separators=(",", ":")) for verdict in recording.verdicts)
    traces = ",\n".join(json.dumps(trace, separators=(",", ":")) for trace in recording.traces)
    return f'{json.dumps(head)[:-1]}, "verdicts": [\n{rows}\n], "traces": [\n{traces}\n]}}\n'.encode()


def parse(text: bytes) -> Recording:
    """What ``dump`` wrote."""
    given = json.loads(text)
    assert given["format"] == FORMAT
    verdicts = [_verdict(row) for row in given["verdicts"]]
    traces = [(steps, [Seen(*seen) for seen in all_seen]) for steps, all_seen in given.get("traces", ())]
    return Recording(given["xen"], given["features"], given["bases"], verdicts, traces)


def write(path: Path, text: bytes) -> None:
    """Keep a recording."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))


def read(path: Path) -> Recording:
    """Read a recording that is kept."""
    return parse(lzma.decompress(path.read_bytes()))


def write_sequences(sequences: Sequence[Sequence[Step]]) -> None:
    """Keep the sequences of calls that every Xen goes through."""
    text = ",\n".join(json.dumps(steps, separators=(",", ":")) for steps in sequences)
    write(SEQUENCES, f"[\n{text}\n]\n".encode())


def sequences() -> List[List[Step]]:
    """Those that are kept."""
    kept: List[List[Step]] = json.loads(lzma.decompress(SEQUENCES.read_bytes()))
    return kept


def files() -> List[Path]:
    """The recordings that are kept, oldest release first."""
    return sorted(FOLDER.glob("*.json.xz"))
