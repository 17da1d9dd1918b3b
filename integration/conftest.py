# SPDX-License-Identifier: MIT
"""Fixtures of the suites. On a machine that is no dom0 every test is skipped, by name."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping

import pytest

from integration import forkedguard, promises
from integration.evidence import host, tiny
from integration.evidence.linux import LinuxGuest
from integration.evidence.tiny import TinyGuest

Promise = Callable[[str, Mapping[str, int]], None]
TinyGuestFactory = Callable[..., TinyGuest]
LinuxGuestFactory = Callable[..., LinuxGuest]


def pytest_configure(config: pytest.Config) -> None:
    """Names the markers of the suites; where counts are brisk, guards are forked."""
    config.addinivalue_line("markers", "smoke: one of the few that run on every release, whatever else does")
    config.addinivalue_line("markers", "last: what an emulated host may not be itself after; runs when all else has")
    config.addinivalue_line("markers", "lab_limit(seconds): what the lab lets this test take, if not its default")
    if promises.IS_BRISK:
        forkedguard.give_all()


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Skips everything below this directory where there is no Xen, and puts last what is marked so."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
    reason = host.why_not_dom0()
    here = Path(__file__).resolve().parent
    for item in items:
        if reason and here in Path(item.path).resolve().parents:
            item.add_marker(pytest.mark.skip(reason=reason))


_counts: List[promises.Count] = []


@pytest.fixture
def promise(record_property: Callable[[str, object], None]) -> Promise:
    """Gives a function that takes what a suite counted, for its line at the end of the run."""

    def keep(suite: str, counts: Mapping[str, int]) -> None:
        for what, number in counts.items():
            record_property(promises.property_name(suite, what), number)
            _counts.append((suite, what, number))

    return keep


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Shows what the suites counted."""
    if _counts:
        terminalreporter.section("promises")
        for line in promises.lines(_counts):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tiny_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the directory of the assembled tiny guest."""
    return tiny.image(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_guest(tiny_image: Path) -> Iterator[TinyGuestFactory]:
    """Gives a function that creates tiny guests; they are destroyed after the test."""
    with ExitStack() as stack:

        def create(vcpus: int = 4, memory: int = 64, **options: Any) -> TinyGuest:
            guest = TinyGuest(tiny_image, vcpus, memory, **options)
            stack.callback(guest.destroy)
            return guest

        yield create


@pytest.fixture
def linux_guest(tiny_image: Path) -> Iterator[LinuxGuestFactory]:
    """Gives a function that boots Linux guests; they are destroyed after the test."""
    reason = host.why_no_linux_guest()
    if reason:
        pytest.skip(reason)
    image = Path(os.environ[host.LINUX_VARIABLE])
    with ExitStack() as stack:

        def create(
            vcpus: int = 4, memory: int = 512, unrestricted: bool = True, **options: Any
        ) -> LinuxGuest:
            guest = LinuxGuest(image, tiny_image, vcpus, memory, unrestricted, **options)
            stack.callback(guest.destroy)
            return guest

        yield create
