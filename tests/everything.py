# SPDX-License-Identifier: MIT
"""Runs every stage that this machine can run, and ends with what was skipped and why.

    python tests/everything.py [STAGE...]

A stage is a command; those that run pytest leave JUnit XML, from which the counts come.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
OTHER_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
MANUAL_AND_SHELLS = {"man": "man-db", "groff": "groff-base", "mandoc": "mandoc", "zsh": "zsh", "fish": "fish"}
"""Programs that read the manual and complete command lines, each with its Debian package."""
HEADERS = "/usr/include/xenctrl.h"
LIBVIRT = "/usr/include/libvirt/libvirt.h"
APART = ("abi_headers", "ansible_collection", "docs", "packages", "promises", "verdicts")
NOT_UNIT = tuple(f"--ignore=tests/{name}" for name in APART)
FULL_RELEASE = "4.17"
"""The Xen that all suites run on; the others get those tests that are marked `smoke`."""
CANNOT = 5
"""The exit code of `integration.lab`, `tests/fuzz` and `packaging/deb.sh` for "this host cannot"."""


@dataclass
class Result:
    """What one stage came to."""

    stage: str
    passed: int = 0
    failed: int = 0
    skipped: List[str] = field(default_factory=list)


def junit(stage: str, path: Path, code: int) -> Result:
    """Read pytest's own counts; a run that left none, or a bad exit code without a failure, is a failure."""
    result = Result(stage)
    if path.exists():
        for case in xml.parse(path).getroot().iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            skip = case.find("skipped")
            if skip is not None:
                result.skipped.append(f"{name}: {skip.get('message')}")
            elif case.find("failure") is not None or case.find("error") is not None:
                result.failed += 1
            else:
                result.passed += 1
    if code != 0 and not result.failed:
        result.failed += 1
    return result


def run(command: Sequence[object]) -> int:
    """Run a command in the root of the checkout, its output as it comes."""
    print("$", *command, flush=True)
    return subprocess.run([str(part) for part in command], cwd=ROOT).returncode


def tool(stage: str, *command: object) -> Result:
    """A stage that passes or fails as one."""
    code = run(command)
    return Result(stage, passed=int(code == 0), failed=int(code != 0))


def suite(stage: str, *arguments: object, python: Optional[Path] = None) -> Result:
    """A stage of pytest, run by the installed wheel's interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        code = run([(python or BIN / "python").with_name("pytest"), "-q", "-rs", *arguments, f"--junitxml={report}"])
        return junit(stage, report, code)


def wheel() -> Path:
    """The wheel that was built."""
    return next((ROOT / "dist").glob("xenvcpu-*-py3-none-any.whl"))


def sdist() -> Path:
    """The sdist that the wheel was built from."""
    return next((ROOT / "dist").glob("xenvcpu-*.tar.gz"))


def debs() -> List[Path]:
    """The Debian packages, where they were built."""
    return sorted((ROOT / "dist/debian").glob("*.deb"))


def works(python: Optional[str]) -> bool:
    """Whether an interpreter found on PATH really starts (a pyenv shim may not)."""
    return python is not None and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


def pythons() -> Result:
    """The unit tests on every other supported Python that is here."""
    total = Result("pythons")
    for version in OTHER_PYTHONS:
        if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
            continue
        interpreter = next(filter(works, (shutil.which(f"python{version}"), newest_pyenv(version))), None)
        if interpreter is None:
            total.skipped.append(f"tests on Python {version}: no python{version} on this machine")
            continue
        with tempfile.TemporaryDirectory() as folder:
            venv = Path(folder) / "venv"
            run([interpreter, "-m", "venv", venv])
            extras = "cli,test,libvirt" if Path(LIBVIRT).exists() else "cli,test"
            run([venv / "bin/pip", "install", "-q", f"{wheel()}[{extras}]"])
            one = suite(f"python{version}", "tests", *NOT_UNIT, python=venv / "bin/python")
        total.passed, total.failed = total.passed + one.passed, total.failed + one.failed
        total.skipped += [f"python{version}: {line}" for line in one.skipped]
    return total


def newest_pyenv(version: str) -> Optional[str]:
    """An interpreter that pyenv keeps, where there is one."""
    found = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else None


def install(*packages: str) -> None:
    """Install Debian packages, where this machine has them and we may."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])


def unit() -> Result:
    """The unit tests, with libvirt where it can be had: its Python package is compiled against libvirt-dev."""
    if not Path(LIBVIRT).exists():
        install("gcc", "libc6-dev", "pkg-config", "libvirt-dev")
    if Path(LIBVIRT).exists():
        run([BIN / "pip", "install", "-q", f"{wheel()}[libvirt]"])
    manual_and_shells()
    return suite("unit", "tests", *NOT_UNIT)


def manual_and_shells() -> None:
    """What reads the manual and completes command lines."""
    missing = [package for program, package in MANUAL_AND_SHELLS.items() if shutil.which(program) is None]
    if missing:
        install(*missing)


def promises() -> Result:
    """Faults at every C call, and kills at every step: minutes, and the same on every Python."""
    return suite("promises", "tests/promises")


def verdicts() -> Result:
    """What real Xens said to ten thousand contexts each, given again by rules and model: the same on every Python."""
    return suite("verdicts", "tests/verdicts")


def ansible() -> Result:
    """The Ansible collection, run by ansible-core: 500 hosts among it, and what ansible-test has to say."""
    run([BIN / "pip", "install", "-q", f"{wheel()}[ansible]"])
    return suite("ansible", "tests/ansible_collection")


def docs() -> Result:
    """The site, with warnings as errors, and every command that is documented."""
    run([BIN / "pip", "install", "-q", f"{wheel()}[docs]"])
    manual_and_shells()
    built = tool("docs", BIN / "python", "-m", "sphinx", "-q", "-W", "--keep-going", "docs", "build/docs")
    result = suite("docs", "tests/docs")
    return replace(result, passed=result.passed + built.passed, failed=result.failed + built.failed)


def abi() -> Result:
    """The C declarations and the codecs, against the Xen headers of this machine."""
    if not Path(HEADERS).exists():
        install("gcc", "libc6-dev", "libxen-dev")
    return suite("abi", "tests/abi_headers")


def bare() -> Result:
    """`import xenvcpu` and a start on the model with nothing but cffi installed."""
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder) / "venv"
        run([sys.executable, "-m", "venv", venv])
        run([venv / "bin/pip", "install", "-q", wheel()])
        return tool("bare", venv / "bin/python", ROOT / "tests/bare.py")


def packages() -> Result:
    """The sdist, the wheel and the Debian packages, whose build needs are those that debian/control names."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install("lintian")
        run(["apt-get", "build-dep", "-y", "-qq", "--no-install-recommends", ROOT])
    code = run(["sh", "packaging/deb.sh", sdist(), ROOT / "dist/debian"])
    result = suite("packages", "tests/packages")
    result.failed += code not in (0, CANNOT)
    return result


def lab() -> Result:
    """The suites on a real Xen in QEMU: one release in full, as the README quotes it, and a few tests of the others."""
    if run([sys.executable, "-m", "integration.lab", "setup"]) == CANNOT:
        return Result("lab", skipped=["integration/ on an emulated Xen host: see `python3 -m integration.lab doctor`"])
    with tempfile.TemporaryDirectory() as folder:
        given = ["--wheel", wheel(), *(f"--deb={deb}" for deb in debs())]
        chosen = ["--release", FULL_RELEASE, "--full", "--smoke-others"]
        code = run([sys.executable, "-m", "integration.lab", "run", *given, *chosen, "--results", folder])
        return junit("lab", Path(folder) / "junit.xml", code)


def fuzz() -> Result:
    """Hostile bytes into every decoder, for half a minute each."""
    if run([BIN / "pip", "install", "-q", f"{wheel()}[fuzz]"]) != 0:
        return Result("fuzz", skipped=["tests/fuzz: atheris has no wheel for this Python"])
    code = run([BIN / "python", "tests/fuzz/fuzz.py", "--seconds", "30"])
    if code == CANNOT:
        return Result("fuzz", skipped=["tests/fuzz: atheris cannot be had here"])
    return Result("fuzz", passed=int(code == 0), failed=int(code != 0))


STAGES: Dict[str, Callable[[], Result]] = {
    "lint": lambda: tool("lint", BIN / "ruff", "check", "."),
    "types": lambda: tool("types", BIN / "mypy", "--strict"),
    "unit": unit,
    "promises": promises,
    "verdicts": verdicts,
    "ansible": ansible,
    "docs": docs,
    "abi": abi,
    "bare": bare,
    "packages": packages,
    "pythons": pythons,
    "fuzz": fuzz,
    "lab": lab,
}


def main(names: Sequence[str]) -> int:
    """Run the stages named, or all; returns the exit code."""
    results = []
    for name in names or STAGES:
        began = time.monotonic()
        print(f"\n==== {name}", flush=True)
        results.append(STAGES[name]())
        print(f"==== {name}: {time.monotonic() - began:.0f} s", flush=True)
    print("\nStage      passed  failed  skipped")
    for result in results:
        print(f"{result.stage:10} {result.passed:6}  {result.failed:6}  {len(result.skipped):7}")
    reasons = [f"  {result.stage}: {line}" for result in results for line in result.skipped]
    print("\nSkipped:" if reasons else "\nNothing was skipped.")
    print("\n".join(reasons))
    passed, failed = sum(result.passed for result in results), sum(result.failed for result in results)
    print(f"\n{passed} passed, {failed} failed, {len(reasons)} skipped")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
