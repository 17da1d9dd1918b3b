# SPDX-License-Identifier: MIT
"""What pytest finds in the dom0 goes out line by line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parents[2]

SUITE = """
import time, pytest
def test_good(record_property): record_property("promise:good:tries", 3); record_property("other", 2)
def test_bad(): print("said"); assert 1 == 2
@pytest.mark.skip(reason="not here")
def test_skipped(): pass
@pytest.fixture
def broken(): raise RuntimeError("fixture")
def test_error(broken): pass
@pytest.mark.xfail(reason="known")
def test_expected(): assert False
def test_hangs(): time.sleep(30)
"""


def events(tmp_path: Path, *arguments: str) -> List[Dict[str, Any]]:
    """Runs a small suite with the reporter and returns its events."""
    (tmp_path / "test_it.py").write_text(SUITE)
    reader, writer = os.pipe()
    environment = {
        **os.environ,
        "XENVCPU_LAB_STATUS_FD": str(writer),
        "XENVCPU_LAB_TEST_LIMIT": "1",
        "PYTHONPATH": str(ROOT),
    }
    argv = [sys.executable, "-m", "pytest", "-p", "integration.lab.dom0.report", "-q"]
    argv += ["-p", "no:cacheprovider", *arguments, "."]
    subprocess.run(argv, cwd=tmp_path, env=environment, pass_fds=(writer,), capture_output=True, timeout=60)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        return [json.loads(line) for line in stream]


def test_every_outcome_is_reported(tmp_path: Path) -> None:
    """Passed, failed, skipped, error, expected failure and a test that hangs: one line each."""
    found = events(tmp_path)
    assert {"event": "collected", "count": 6} in found
    outcomes = {event["nodeid"].split("::")[1]: event for event in found if event["event"] == "test"}
    assert {name: event["outcome"] for name, event in outcomes.items()} == {
        "test_good": "passed",
        "test_bad": "failed",
        "test_skipped": "skipped",
        "test_error": "error",
        "test_expected": "xfailed",
        "test_hangs": "failed",
    }
    assert outcomes["test_good"]["properties"] == [["promise:good:tries", 3], ["other", 2]]
    assert "assert 1 == 2" in outcomes["test_bad"]["detail"]
    assert "said" in outcomes["test_bad"]["detail"]
    assert outcomes["test_skipped"]["detail"] == "Skipped: not here"
    assert "took over 1 s" in outcomes["test_hangs"]["detail"]
    assert [e["nodeid"] for e in found if e["event"] == "begin"][0] == "test_it.py::test_good"


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A suite that fails to import is reported by its name, not left out."""
    (tmp_path / "test_broken.py").write_text("import no_such_module_here\n")
    found = events(tmp_path, "--continue-on-collection-errors", "-k", "test_good")
    broken = [event for event in found if event.get("nodeid") == "test_broken.py"]
    assert broken[0]["outcome"] == "error"
    assert "no_such_module_here" in broken[0]["detail"]


def test_suites_are_skipped_by_name_without_xen(tmp_path: Path) -> None:
    """`pytest integration` on a machine that is no dom0 names each test and why it did not run."""
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "-c", os.devnull]
    argv += ["--rootdir", str(ROOT), str(ROOT / "integration/test_lab.py")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if os.path.exists("/proc/xen/capabilities"):
        return
    assert done.returncode == 0, done.stdout
    assert "not a Xen dom0" in done.stdout
    assert "test_lab.py::test_beat SKIPPED" in done.stdout
    assert " passed" not in done.stdout
