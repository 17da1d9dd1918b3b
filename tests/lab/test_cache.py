# SPDX-License-Identifier: MIT
"""The cache: artifacts whole or not at all, keyed by what goes in."""

import threading
from pathlib import Path
from typing import List

import pytest

from integration.lab.cache import Cache, digest


def artifacts(folder: Path) -> List[Path]:
    return [path for path in folder.iterdir() if path.suffix != ".lock"]


def test_built_once_for_the_same_inputs(tmp_path: Path) -> None:
    """The second time nothing is built; other inputs replace the artifact."""
    cache = Cache(tmp_path)
    built: List[str] = []

    def build(directory: Path, scratch: Path) -> None:
        built.append("x")
        (directory / "file").write_text("content")

    first = cache.get("thing", ["a", "b"], build)
    assert cache.get("thing", ["a", "b"], build) == first
    second = cache.get("thing", ["ab", ""], build)
    assert len(built) == 2
    assert (second / "file").read_text() == "content"
    assert not first.exists()


def test_names_do_not_touch_each_other(tmp_path: Path) -> None:
    """An artifact whose name begins like another's is left alone."""
    cache = Cache(tmp_path)
    longer = cache.get("thing-4.17", ["a"], lambda directory, scratch: None)
    cache.get("thing", ["a"], lambda directory, scratch: None)
    assert longer.exists()


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    """What failed half-way is not found later, and its scratch is gone."""
    cache = Cache(tmp_path)

    def fail(directory: Path, scratch: Path) -> None:
        (directory / "half").write_text("")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.get("thing", [], fail)
    assert artifacts(tmp_path) == []


def test_two_hosts_build_the_same_once(tmp_path: Path) -> None:
    """The second one waits for the first one's."""
    built: List[str] = []
    began, go_on = threading.Event(), threading.Event()

    def build(directory: Path, scratch: Path) -> None:
        built.append("x")
        began.set()
        assert go_on.wait(60)

    threads = [threading.Thread(target=Cache(tmp_path).get, args=("thing", ["a"], build)) for _ in range(2)]
    threads[0].start()
    assert began.wait(60)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert built == ["x"] and len(artifacts(tmp_path)) == 1


def test_the_environment_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XENVCPU_LAB_CACHE moves the cache."""
    monkeypatch.setenv("XENVCPU_LAB_CACHE", str(tmp_path / "here"))
    assert Cache().path == tmp_path / "here"


def test_one_at_a_time(tmp_path: Path) -> None:
    """Who comes second is told and waits."""
    cache = Cache(tmp_path)
    told, entered = threading.Event(), threading.Event()

    def second() -> None:
        with cache.lock(told.set):
            entered.set()

    with cache.lock(lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(60)
        assert not entered.is_set()
    thread.join(60)
    assert entered.is_set()


def test_sweep_takes_what_killed_runs_left(tmp_path: Path) -> None:
    """Stale scratch directories go, artifacts stay."""
    cache = Cache(tmp_path)
    artifact = cache.get("thing", [], lambda directory, scratch: None)
    (tmp_path / "scratch-old").mkdir()
    cache.sweep()
    assert artifacts(tmp_path) == [artifact]


def test_digest_keeps_inputs_apart() -> None:
    """Moving a character from one input to the next changes the key."""
    assert digest(["ab", "c"]) != digest(["a", "bc"])
