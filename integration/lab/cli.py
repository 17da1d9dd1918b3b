# SPDX-License-Identifier: MIT
"""The lab's command line: run, exec, shell, doctor, setup, releases.

Exit codes: 0 done, 1 tests failed (or the command did, or Xen itself), 2 usage, 4 a
host was lost on every attempt, or of all hosts booted more than one and more than one
in ten, 5 this machine cannot run the lab.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from integration.lab import doctor, qemu, runs
from integration.lab.cache import Cache
from integration.lab.errors import HostCannotError, LabError, LostHostError
from integration.lab.host import Limits
from integration.lab.image import ImageBuilder, compose
from integration.lab.job import Job
from integration.lab.qemu import Machine
from integration.lab.releases import DEFAULT_RELEASE, RELEASES, find_release
from integration.lab.runner import Runner, say
from integration.lab.runs import EXIT_FAILED, EXIT_LOST

EXIT_CANNOT = 5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m integration.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the suites of integration/ on an emulated Xen host")
    run.add_argument("-k", dest="expression", help="as pytest's -k")
    run.add_argument(
        "--release", dest="releases", action="append", default=[], choices=list(RELEASES),
        help="may be given more than once; without it 4.14, 4.17 and 4.20",
    )
    run.add_argument("--smoke-others", action="store_true", help="and a few tests on the other releases")
    run.add_argument(
        "--full", action="store_true",
        help="as many kills, races and cycles as the README quotes, and a new Python for each command and guard; the "
        "processes of races and kills are forked always, and their guards, but for one kill in ten",
    )
    run.add_argument("--hosts", type=int, default=0, metavar="N", help="emulated hosts at once, else one a processor")
    execute = commands.add_parser("exec", help="run one command in the dom0")
    shell = commands.add_parser("shell", help="a shell in the dom0 on this terminal")
    for command in (execute, shell):
        command.add_argument("--release", default=DEFAULT_RELEASE, choices=list(RELEASES))
    for command in (run, execute, shell):
        command.add_argument(
            "--wheel", type=Path, default=os.environ.get("TOX_PACKAGE"),
            help="install this wheel; without it that of tox, or a new one",
        )
        command.add_argument(
            "--deb", type=Path, action="append", default=[], help="a Debian package, for the suite that installs them"
        )
        command.add_argument("--xen-options", default="", metavar="WORDS", help="further words on Xen's command line")
    for command in (run, execute):
        command.add_argument("--results", type=Path, help="directory for result files")
        command.add_argument("--keep", action="store_true", help="keep image and logs")
        command.add_argument("--limit", type=float, default=Limits.total, help="seconds for each host")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    commands.add_parser("doctor", help="tell what is missing on this machine")
    commands.add_parser("setup", help="install what is missing (root and apt)")
    commands.add_parser("releases", help="list the Xen releases")
    return parser


@contextmanager
def _booked(cache: Cache) -> Iterator[Path]:
    """Holds the lab and gives a scratch directory."""
    with cache.lock(lambda: say("waiting for another run of the lab to end")):
        cache.sweep()
        with cache.scratch() as scratch:
            yield scratch


def _wheel(cache: Cache, options: argparse.Namespace) -> Optional[Path]:
    return options.wheel.resolve() if options.wheel else ImageBuilder(cache, say).wheel()


def _machine(cache: Cache, options: argparse.Namespace, job: Job, scratch: Path) -> Machine:
    doctor.demand(doctor.diagnose())
    started = time.monotonic()
    release = find_release(options.release)
    parts = ImageBuilder(cache, say).parts(release, _wheel(cache, options))
    machine = compose(release, parts, job, scratch, options.deb).told_more(options.xen_options)
    say(f"image of Xen {options.release} ready after {time.monotonic() - started:.1f} s; booting")
    return machine


def _results(cache: Cache, options: argparse.Namespace) -> Path:
    """The folder for results: the one asked for, or one of the cache, which begins empty."""
    if options.results:
        return Path(options.results)
    results = cache.path / "results"
    shutil.rmtree(results, ignore_errors=True)
    return results


def _after_dashes(words: List[str]) -> List[str]:
    """Returns ``words`` without the ``--`` before them, which argparse takes away in some cases only."""
    return words[1:] if words[:1] == ["--"] else words


def _exec(options: argparse.Namespace) -> int:
    argv = _after_dashes(options.argv)
    if not argv:
        raise LabError("exec: no command given")
    cache = Cache()
    with _booked(cache) as scratch:
        results = _results(cache, options)
        machine = _machine(cache, options, Job("exec", tuple(argv), options.limit - 60), scratch)
        outcome = Runner(scratch, results, Limits(total=options.limit)).run(machine)
        if options.keep:
            shutil.copytree(scratch, results / "kept")
            say(f"image and logs kept in {results / 'kept'}")
    return outcome.status


def _run(options: argparse.Namespace, more: List[str]) -> int:
    cache = Cache()
    arguments = _after_dashes(more) + (["-k", options.expression] if options.expression else [])
    with _booked(cache) as scratch:
        doctor.demand(doctor.diagnose())
        order = runs.Order(
            tuple(options.releases), tuple(arguments), options.smoke_others, options.full, options.hosts,
            options.limit, options.keep, tuple(options.deb), _wheel(cache, options), options.xen_options,
        )
        return runs.run(order, cache, scratch, _results(cache, options))


def _shell(options: argparse.Namespace) -> int:
    cache = Cache()
    with _booked(cache) as scratch:
        machine = _machine(cache, options, Job("shell"), scratch)
        process = qemu.start(machine.command() + qemu.terminal_arguments(), None)
        try:
            return process.wait()
        finally:
            process.kill()
            process.wait()
            subprocess.run(["stty", "sane"], check=False)


def _doctor() -> int:
    diagnosis = doctor.diagnose()
    for line in (*diagnosis.missing, *diagnosis.hopeless):
        say(f"missing: {line}")
    if diagnosis.remedy:
        say(f"to install: {diagnosis.remedy}")
    if diagnosis.healthy:
        say("this machine can run the lab")
    return 0 if diagnosis.healthy else EXIT_CANNOT


def _setup() -> int:
    doctor.install(doctor.diagnose(), say)
    say("this machine can run the lab")
    return 0


def _releases() -> int:
    for release in RELEASES.values():
        mark = "  (default)" if release.name == DEFAULT_RELEASE else ""
        say(f"{release.name:<8}Debian {release.suite:<10}{release.soname}{mark}")
    return 0


def _dispatch(options: argparse.Namespace, more: List[str]) -> int:
    if options.command == "run":
        return _run(options, more)
    if options.command in ("exec", "shell"):
        return {"exec": _exec, "shell": _shell}[options.command](options)
    return {"doctor": _doctor, "setup": _setup, "releases": _releases}[options.command]()


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the command line and returns its exit status."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    parser = _parser()
    options, more = parser.parse_known_args(argv)
    if more and options.command != "run":
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        return _dispatch(options, more)
    except HostCannotError as error:
        print(f"lab: this machine cannot: {error}", file=sys.stderr)
        return EXIT_CANNOT
    except LostHostError as error:
        print(f"lab: host lost on every attempt: {error.reason}", file=sys.stderr)
        return EXIT_LOST
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
