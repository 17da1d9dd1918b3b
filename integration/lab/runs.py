# SPDX-License-Identifier: MIT
"""A run: the suites on one release or several, on as many emulated hosts at once as this machine carries."""

import functools
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from integration import promises
from integration.lab import junit, stretches
from integration.lab.crew import Crew, Tell
from integration.lab.errors import LostHostError, XenFailedError
from integration.lab.host import Limits
from integration.lab.image import PROJECT, ImageBuilder, compose
from integration.lab.job import Job, names_tests
from integration.lab.cache import Cache
from integration.lab.outcome import Outcome, closing_line, has_lost_too_many
from integration.lab.releases import RELEASES, WHOLE, find_release
from integration.lab.runner import Runner, say
from integration.lab.shares import Share, longest_first, shares, suites

EXIT_FAILED = 1
EXIT_LOST = 4

#: An emulated host has 4 GiB, of which it touches less than that.
HOST_MEMORY = 4 << 30
#: Where a test is chosen by its mark, this is its.
SMOKE = ("-m", "smoke")
_SMOKE_SECONDS = 110.0
#: The job ends so many seconds before the host does.
_MARGIN = 60.0


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Attributes:
        releases: Names of those that get all suites; none for the lab's own choice.
        arguments: Further arguments of pytest.
        has_smoke: Whether the other releases get the tests marked ``smoke``.
        is_full: Whether promises are put to the test as often as they are quoted.
        hosts: How many hosts at once; 0 for as many as there are processors.
        limit: Seconds for a host.
        keep: Whether images and logs are kept.
        debs: The project's Debian packages.
        wheel: The project's wheel.
        xen_options: Further words on Xen's command line.
    """

    releases: Tuple[str, ...] = ()
    arguments: Tuple[str, ...] = ()
    has_smoke: bool = False
    is_full: bool = False
    hosts: int = 0
    limit: float = Limits.total
    keep: bool = False
    debs: Tuple[Path, ...] = ()
    wheel: Optional[Path] = None
    xen_options: str = ""


def at_once(wanted: int) -> int:
    """Returns how many hosts this machine carries: one for each processor, if it has the memory."""
    if wanted:
        return wanted
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // HOST_MEMORY))


def plan(order: Order, files: Sequence[str], most: int) -> List[Share]:
    """Returns what hosts are to run, in the order in which they are booted.

    Args:
        order: What is asked for.
        files: All suites.
        most: How many hosts run at once.
    """
    whole = [find_release(name) for name in order.releases or WHOLE]
    chosen = names_tests(order.arguments) or any(word.startswith(("-k", "-m")) for word in order.arguments)
    made = shares(whole, () if chosen else files, order.arguments, order.is_full, most)
    if order.has_smoke:
        others = [release for release in RELEASES.values() if release not in whole]
        made += [Share(release.name, release, SMOKE, _SMOKE_SECONDS) for release in others]
    return longest_first(made)


def perform(share: Share, order: Order, cache: Cache, scratch: Path, results: Path, tell: Tell) -> Outcome:
    """Builds what a share needs, and runs it on a host."""
    started = time.monotonic()
    work = scratch / share.name.replace("/", "-")
    work.mkdir()
    parts = ImageBuilder(cache, tell).parts(share.release, order.wheel)
    job = Job.pytest(share.arguments, order.limit - _MARGIN, share.is_full)
    machine = compose(share.release, parts, job, work, order.debs).told_more(order.xen_options)
    tell(f"image of Xen {share.release.name} ready after {time.monotonic() - started:.1f} s; booting")
    runner = Runner(work, results, Limits(total=order.limit), tell)
    try:
        outcome = runner.run(machine)
    except XenFailedError:
        return runner.outcome
    except LostHostError as error:
        runner.outcome.trouble = f"host lost on every attempt: {error.report()}"
        return runner.outcome
    finally:
        if order.keep:
            shutil.copytree(work, results / "kept")
            tell(f"image and logs kept in {results / 'kept'}")
        shutil.rmtree(work, ignore_errors=True)
    outcome.trouble = _trouble(outcome, results / "output.txt")
    return outcome


def _trouble(outcome: Outcome, output: Path) -> str:
    if outcome.status != 0 and not outcome.failures:
        printed = output.read_text(errors="replace")[-4000:] if output.exists() else ""
        return f"pytest ended with status {outcome.status} and no failure\n{printed}"
    if outcome.status == 0 and len(outcome.tests) < outcome.collected:
        return f"pytest ended well, but of {outcome.collected} tests {len(outcome.tests)} have a result"
    return ""


def run(order: Order, cache: Cache, scratch: Path, results: Path) -> int:
    """Does all of it, writes ``junit.xml`` among the results, and returns the exit status."""
    most = at_once(order.hosts)
    made = plan(order, suites(PROJECT), most)
    width = max(len(share.name) for share in made) + 1 if len(made) > 1 else 0

    def tell(name: str, text: str) -> None:
        for line in text.splitlines() or [""]:
            say(f"{name:<{width}} {line}" if width else line)

    if width:
        say(f"{len(made)} hosts, {min(most, len(made))} at once: {', '.join(share.name for share in made)}")
    (results / "junit.xml").unlink(missing_ok=True)
    jobs = {}
    for share in made:
        folder = results / share.name
        shutil.rmtree(folder, ignore_errors=True)
        jobs[share.name] = functools.partial(perform, share, order, cache, scratch, folder)
    started = time.monotonic()
    came = Crew[Outcome](most, tell).run(jobs)
    outcomes = {name: Outcome(trouble=one) if isinstance(one, str) else one for name, one in came.items()}
    junit.write(results / "junit.xml", outcomes)
    summarise(outcomes, results, time.monotonic() - started)
    return status_of(list(outcomes.values()))


def status_of(outcomes: Sequence[Outcome]) -> int:
    """Returns the exit status of a run: a failure outweighs a host lost on every attempt, and too many lost."""
    bad = [outcome for outcome in outcomes if not outcome.is_good]
    if not bad:
        return EXIT_LOST if has_lost_too_many(outcomes) else 0
    return EXIT_LOST if all(outcome.is_lost for outcome in bad) else EXIT_FAILED


def summarise(outcomes: Mapping[str, Outcome], results: Path, seconds: float) -> None:
    """Tells what failed and why, what was skipped and why, what suites counted, and the sums."""
    for name, outcome in outcomes.items():
        for verdict in outcome.failures:
            say(f"\n{'_' * 20} {name}: {verdict.nodeid} {'_' * 20}\n{verdict.detail}")
        for text in filter(None, (outcome.trouble, outcome.xen_failed)):
            say(f"\n{'_' * 20} {name} {'_' * 20}\n{text}")
    if any(outcome.skips for outcome in outcomes.values()):
        say("\nskipped:")
    for name, outcome in outcomes.items():
        for verdict in outcome.skips:
            say(f"  {name}: {verdict.nodeid}: {verdict.detail}")
    _promises(outcomes)
    say(f"\nresults in {results}")
    if len(outcomes) > 1:
        for name, outcome in outcomes.items():
            say(f"  {name}: {closing_line([outcome])}")
    for name in (name for name, outcome in outcomes.items() if outcome.xen_failed):
        say(f"Xen failed: {name}")
    _losses(outcomes)
    for line in stretches.lines((name, one.hours, one.stretched.values()) for name, one in outcomes.items()):
        say(line)
    say(f"{closing_line(outcomes.values())} in {seconds:.0f} s")


def _losses(outcomes: Mapping[str, Outcome]) -> None:
    losses = [f"{name}: {reason}" for name, outcome in outcomes.items() for reason in outcome.losses]
    boots = sum(outcome.boots for outcome in outcomes.values())
    too_many = ", too many: more than one, and one in ten" if has_lost_too_many(outcomes.values()) else ""
    say(f"hosts lost: {len(losses)} of {boots} booted{too_many}")
    for line in losses:
        say(f"  {line}")


def _promises(outcomes: Mapping[str, Outcome]) -> None:
    releases: Dict[str, List[promises.Count]] = {}
    for name, outcome in outcomes.items():
        releases.setdefault(name.split("/")[0], []).extend(outcome.promises)
    for name, counts in releases.items():
        if counts:
            say(f"\npromises, {name}:")
        for line in promises.lines(counts):
            say(f"  {line}")
