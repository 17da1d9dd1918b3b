# SPDX-License-Identifier: MIT
"""The last lines of a run: a table, then all that did not run, why, and the command that runs it."""

from __future__ import annotations

import os
from typing import Iterable, List, Mapping, Sequence

from tests.lanes.result import Result
from tests.lanes.stage import ROOT, Stage, log_of

_REASONS = 12
_TAIL = 60


def line(result: Result) -> str:
    """One line for a stage that has ended."""
    if result.why_not:
        return f"{result.stage.name:<10} {result.seconds:6.0f} s  did not run: {result.why_not}"
    word = "FAILED" if result.failed else "ok"
    skipped = f", {result.skipped} skipped" if result.skipped else ""
    counts = f"{result.passed} passed, {result.failed} failed{skipped}"
    return f"{result.stage.name:<10} {result.seconds:6.0f} s  {word:<6}  {counts}"


def failure(result: Result) -> str:
    """The end of the log of a stage that failed, and where all of it is."""
    log = log_of(result.stage)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    left_out = [f"[... {len(lines) - _TAIL} lines before]"] if len(lines) > _TAIL else []
    shown = "\n".join(left_out + lines[-_TAIL:])
    return f"\n---- {result.stage.name}: the end of {log.relative_to(ROOT)}\n{shown}\n----\n"


def lacks_xen(results: Sequence[Result]) -> bool:
    """Whether a run has failed since it was to boot a real Xen, and did not, where that is required."""
    is_required = bool(os.environ.get("XENVCPU_REQUIRE_LAB"))
    has_xen = any(result.has_booted_xen for result in results)
    return is_required and not has_xen and any(result.stage.emulates for result in results)


def skips(results: Sequence[Result]) -> str:
    """Why tests were skipped, how many for each reason, and the command that runs them again."""
    found = [text for result in results for text in _skips(result)]
    return "\n".join(["Skipped tests, by reason:", *found]) if found else "No test was skipped."


def _skips(result: Result) -> List[str]:
    found = [f"  {number:5}  {result.stage.name}: {reason}" for reason, number in result.skips.most_common(_REASONS)]
    more = result.skips.most_common()[_REASONS:]
    rest = sum(number for _, number in more)
    found += [f"  {rest:5}  {result.stage.name}: for {len(more)} other reasons"] if more else []
    return [*found, f"         again: make {result.stage.name}"] if found else []


def summary(results: Sequence[Result], known: Mapping[str, Stage], lacking: str, seconds: float) -> str:
    """All that is to be said at the end of a run of several stages.

    Args:
        results: What ran.
        known: Every stage that there is.
        lacking: What the machine lacks, with the command that installs it; empty if nothing.
        seconds: How long the run took.
    """
    parts = [*(line(result) for result in results), f"{'in all':<10} {seconds:6.0f} s"]
    has_xen = any(result.has_booted_xen for result in results)
    passed, failed = (sum(getattr(result, name) for result in results) for name in ("passed", "failed"))
    failed += lacks_xen(results)
    closing = f"{passed} passed, {failed} failed, {sum(result.skipped for result in results)} skipped"
    blocks = ["\n".join(parts), skips(results), lacking, _not_run(results, known), "" if has_xen else _warning(results)]
    return "\n" + "\n\n".join([*filter(None, blocks), closing])


def _not_run(results: Iterable[Result], known: Mapping[str, Stage]) -> str:
    ran = {result.stage.name for result in results if not result.why_not}
    left = [stage for name, stage in known.items() if name not in ran]
    return "\n".join(["Not run:", *(f"  make {stage.name:<12} {stage.description}" for stage in left)]) if left else ""


def _warning(results: Sequence[Result]) -> str:
    asked = [result for result in results if result.stage.emulates]
    reasons = [result.why_not or "its tests failed; see above" for result in asked]
    why = reasons[0] if reasons else "no stage of this run boots one; `make lab-smoke` does"
    lines = [
        "NO REAL XEN WAS BOOTED: all of this was shown on the model only.", f"Why: {why}",
        "`python3 -m integration.lab doctor` names what this machine lacks.",
    ]
    lines += ["XENVCPU_REQUIRE_LAB is set: this run has failed."] if lacks_xen(results) else []
    return "\n".join(["*" * 78, *lines, "*" * 78])
