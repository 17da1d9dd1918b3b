# SPDX-License-Identifier: MIT
"""Fixtures of the suites. On a machine that is no dom0 every test is skipped, by name."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Iterator, List

import os

import pytest

from integration.evidence import host
from integration.evidence.tiny import TinyGuest
from integration.guest import build

TinyGuestFactory = Callable[..., TinyGuest]


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Skips everything below this directory where there is no Xen."""
    reason = host.why_not_dom0()
    here = Path(__file__).resolve().parent
    for item in items:
        if reason and here in Path(item.path).resolve().parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def tiny_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the directory of the assembled tiny guest."""
    given = os.environ.get(host.TINY_VARIABLE)
    if given:
        return Path(given)
    directory = tmp_path_factory.mktemp("tiny")
    build.assemble(directory)
    return directory


@pytest.fixture
def tiny_guest(tiny_image: Path) -> Iterator[TinyGuestFactory]:
    """Gives a function that creates tiny guests; they are destroyed after the test."""
    with ExitStack() as stack:

        def create(vcpus: int = 4, memory: int = 64, **options: Any) -> TinyGuest:
            guest = TinyGuest(tiny_image, vcpus, memory, **options)
            stack.callback(guest.destroy)
            return guest

        yield create
