# SPDX-License-Identifier: MIT
"""A handle belongs to the process that opened it, and to no program that it starts."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from xenvcpu.errors import HostError
from xenvcpu.model import open_model
from xenvcpu.ports.dom0 import Dom0Port
from xenvcpu.ports.guest import GuestPort
from xenvcpu.ports.handle import LibraryHandle, close_on_exec
from xenvcpu.ports.memory import MemoryPort
from xenvcpu.ports.xenstore import XenstorePort

Opened = tuple[LibraryHandle, Callable[[Any], object]]

USES: dict[str, tuple[str, Callable[[Any], LibraryHandle], Callable[[Any], object]]] = {
    "dom0": ("pvh", Dom0Port, lambda port: port.domain(1)),
    "dom0, a pause": ("pvh", Dom0Port, lambda port: port.pause(1)),
    "memory": ("pvh", MemoryPort, lambda port: port.read(1, 0, 1)),
    "memory, a write": ("pvh", MemoryPort, lambda port: port.write(1, 0, b"x")),
    "xenstore": ("pvh", XenstorePort, lambda port: port.name(1)),
    "guest": ("pvh@web", GuestPort, lambda port: port.is_up(0)),
}


@pytest.fixture(params=USES)
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    spec, kind, use = USES[request.param]
    libraries = open_model(spec)
    port = kind(libraries)
    use(port)
    yield port, use
    port.close()
    libraries.close()


def told_by_child(act: Callable[[], object]) -> str:
    """What a forked child says of doing something: "done", or its error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        try:
            act()
            said = "done"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        said = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    return said


def test_a_child_cannot_use_what_its_parent_opened(opened: Opened) -> None:
    port, use = opened
    said = told_by_child(lambda: use(port))
    assert said.startswith(f"HostError: {type(port).__name__} cannot be used: it was opened before a fork")


def test_a_child_that_closes_it_does_no_harm_to_its_parent(opened: Opened) -> None:
    port, use = opened
    assert told_by_child(port.close) == "done"
    use(port)
    assert "open" in repr(port)


def test_a_child_opens_its_own(opened: Opened) -> None:
    port, use = opened

    def reopen() -> None:
        kind: Callable[[Any], Any] = type(port)
        own = kind(open_model("pvh@web" if isinstance(port, GuestPort) else "pvh"))
        use(own)
        own.close()

    assert told_by_child(reopen) == "done"


def test_what_is_closed_says_so(opened: Opened) -> None:
    port, use = opened
    port.close()
    with pytest.raises(HostError, match="it is closed"):
        use(port)
    assert "CLOSED" in repr(port)


def test_a_handle_that_is_dropped_is_not_kept_for_forks() -> None:
    libraries: Any = open_model("pvh")
    port = Dom0Port(libraries)
    port.close()
    known = weakref.ref(port)
    del port
    gc.collect()
    assert known() is None


def test_a_device_that_a_library_left_open_is_kept_from_other_programs(tmp_path: Path) -> None:
    device, other = tmp_path / "xen" / "xenbus", tmp_path / "other"
    device.parent.mkdir()
    with open(device, "w") as left, open(other, "w") as mine:
        for file in (left, mine):
            os.set_inheritable(file.fileno(), True)
        close_on_exec((f"{device.parent}/",))
        assert (os.get_inheritable(left.fileno()), os.get_inheritable(mine.fileno())) == (False, True)
        script = "import os, sys; print(os.path.exists(f'/proc/self/fd/{sys.argv[1]}'))"
        found = [
            subprocess.check_output([sys.executable, "-c", script, str(file.fileno())], close_fds=False, text=True)
            for file in (left, mine)
        ]
    assert found == ["False\n", "True\n"]
