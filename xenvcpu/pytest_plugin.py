# SPDX-License-Identifier: MIT
"""Fixtures for tests that drive vcpus: a model of Xen or a real one, and a domain on it.

They come with the package (entry point `pytest11`); nothing is imported until a test asks for one::

    @pytest.mark.xen_model("pvh", release="4.20")
    def test_all_vcpus_run(xen_domain, xen_model):
        xen_domain.start(xen_domain.down_vcpus(), lambda vcpuid: flat32(0x100000))
        assert all(not vcpu.is_down for vcpu in xen_model.host.guests[0].vcpus)

The marker names a built-in world (`xenvcpu.model.worlds.NAMES`) or a world file, the release of Xen,
and with `here="web"` the domain that the test stands in. Without it, the world is `pvh`. A
parametrised test may give the same by name: `parametrize("xen_model", ["pvh", "busy"], indirect=True)`.

A call of Xen fails on purpose by `xen_model.fail("setcontext", errno.ENOMEM)`; the names are those of C functions
and of `xenvcpu.model.faults.SHORT_NAMES`. A fault that the test has not reached when it ends is an error of it, at
teardown: nothing was tested of what it is there for. `xen_model.unreached` names those that still wait, and
`xen_model.clear()` takes them back.

With `--xen-host=dom0` or `--xen-host=guest`, `xen_host` and `xen_domain` are real, in dom0 the domain that
`--xen-domain` names; tests that ask for `xen_model` too, by argument, marker or parameter, stay on the model.
A test with the marker `real_xen` runs on a real Xen only, and is skipped without one.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Union

import pytest

if TYPE_CHECKING:
    from xenvcpu.dom0domain import Dom0Domain
    from xenvcpu.guestdomain import GuestDomain
    from xenvcpu.host import Host
    from xenvcpu.model.libraries import ModelLibraries

MODEL = "model"
REAL = ("dom0", "guest")
_MODEL_MARKER = "xen_model(world='pvh', *, release=None, here=None): the model of Xen that the test runs on"
_REAL_MARKER = "real_xen(where=None): the test runs on a real Xen only, where='dom0' or where='guest' on one of them"
_COMPARED = {"xenvcpu.abi.layout": "Image", "xenvcpu.context.vcpu_context": "VcpuContext"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("xen", "vcpus of Xen guests (xenvcpu)")
    group.addoption(
        "--xen-host", choices=(MODEL, *REAL), default=MODEL,
        help="Where xen_host and xen_domain are: on a model of Xen, or on this machine as dom0 or as a guest.",
    )
    group.addoption("--xen-domain", metavar="NAME", help="The domain that xen_domain is, with --xen-host=dom0.")


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in (_MODEL_MARKER, _REAL_MARKER):
        config.addinivalue_line("markers", marker)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a real Xen, where there is none."""
    marker = item.get_closest_marker("real_xen")
    if marker is None:
        return
    chosen = item.config.getoption("--xen-host")
    where = (lambda where=None: where)(*marker.args, **marker.kwargs)
    if where is not None and where not in REAL:
        raise pytest.UsageError(f"{item.nodeid}: real_xen({where!r}); it is one of {', '.join(REAL)}")
    wanted = (where,) if where else REAL
    if chosen not in wanted:
        pytest.skip(f"needs a real Xen: {' or '.join(f'--xen-host={each}' for each in wanted)}")
    _require(chosen)


def why_not(chosen: str, found: str) -> Optional[str]:
    """Why a test cannot run on the host that `--xen-host` chose, given what this machine is; None if it can."""
    what = {"none": "is not under Xen", "dom0": "is dom0", "guest": "is a guest"}[found]
    return None if chosen == found else f"--xen-host={chosen}, but this machine {what}"


def _require(chosen: str) -> None:
    from xenvcpu.host import detect

    reason = why_not(chosen, detect())
    if reason is not None:
        pytest.skip(reason)


def _wanted(request: pytest.FixtureRequest) -> Dict[str, Any]:
    """World, release and place that the test asks for, by parameter before marker."""
    found: Dict[str, Any] = {"world": "pvh", "release": None, "here": None}
    marker = request.node.get_closest_marker("xen_model")
    if marker is not None:
        found.update(zip(("world",), marker.args), **marker.kwargs)
    parameter = getattr(request, "param", None)
    found.update(parameter if isinstance(parameter, dict) else {} if parameter is None else {"world": parameter})
    return found


def _asks_for_model(request: pytest.FixtureRequest) -> bool:
    """Whether a test asks for the model itself, and not for wherever `--xen-host` says."""
    node = request.node
    parameters = getattr(getattr(node, "callspec", None), "params", {})
    arguments = inspect.signature(node.function).parameters if hasattr(node, "function") else {}
    return "xen_model" in {*parameters, *arguments} or node.get_closest_marker("xen_model") is not None


@pytest.fixture
def xen_model(request: pytest.FixtureRequest) -> Iterator[ModelLibraries]:
    """The C libraries of a model of Xen; `.host` is the Xen behind them, `.fail()` makes a C call fail."""
    from xenvcpu.model.worlds import open_world

    failed_before = request.session.testsfailed
    with open_world(**_wanted(request)) as libraries:
        yield libraries
    # A test that has failed has said enough.
    if libraries.unreached and request.session.testsfailed == failed_before:
        waiting = "; ".join(libraries.unreached)
        pytest.fail(f"the test ended before these faults of xen_model came: {waiting}", pytrace=False)


@pytest.fixture
def xen_host(request: pytest.FixtureRequest, xen_model: ModelLibraries) -> Iterator[Host]:
    """The host: `xen_model`, or this machine where `--xen-host` says so. What `xenvcpu.open_host` gives."""
    from xenvcpu.host import Host, open_host

    chosen = request.config.getoption("--xen-host")
    if chosen == MODEL or _asks_for_model(request):
        with Host(MODEL, xen_model) as host:
            yield host
        return
    _require(chosen)
    with open_host(chosen) as host:
        yield host


@pytest.fixture
def xen_domain(
    request: pytest.FixtureRequest, xen_host: Host, xen_model: ModelLibraries
) -> Union[Dom0Domain, GuestDomain]:
    """The first guest of a model, or the domain that `--xen-domain` names; the test's own one inside a guest."""
    from xenvcpu.host import SELF

    if xen_host.is_inside:
        return xen_host.domain(SELF)
    if xen_host.kind == MODEL:
        return xen_host.domain(xen_model.host.guests[0].domid)
    name = request.config.getoption("--xen-domain")
    if not name:
        pytest.skip("which domain? --xen-domain=NAME says so; the tests start and stop its vcpus")
    return xen_host.domain(name)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> Optional[List[str]]:
    """Say which registers differ between two CPU records, other C structs, or two `VcpuContext`s."""
    # Nothing is imported for it: who compares two of them has them imported.
    for module, name in _COMPARED.items():
        kind = getattr(sys.modules.get(module), name, None)
        if op == "==" and kind is not None and isinstance(left, kind) and isinstance(right, kind):
            lines = list(_differences(left, right))
            title = getattr(getattr(left, "layout", None), "name", name)
            return [f"{title} == {title}, but {len(lines)} differ{'s' * (len(lines) == 1)}:", *lines]
    return None


def _differences(left: Any, right: Any) -> Iterator[str]:
    is_struct = hasattr(left, "layout")
    if is_struct and left.layout != right.layout:
        names = (f"{layout.name} of {layout.size} bytes" for layout in (left.layout, right.layout))
        yield f"layout: {' != '.join(names)}"
        return
    before, after = (dict(each.values, rest=each.rest) if is_struct else dict(each) for each in (left, right))
    for name, value in before.items():
        if value != after[name]:
            yield from _difference(name, value, after[name])


def _difference(name: str, left: Any, right: Any) -> Iterator[str]:
    if is_dataclass(left) and type(left) is type(right):
        for field in fields(left):
            yield from _difference(f"{name}.{field.name}", getattr(left, field.name), getattr(right, field.name))
    elif isinstance(left, bytes) and isinstance(right, bytes):
        first = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
        if left != right:
            yield f"{name}: from byte {first} on: {left[first : first + 8].hex()} != {right[first : first + 8].hex()}"
    elif left != right:
        yield f"{name}: {_shown(left)} != {_shown(right)}"


def _shown(value: object) -> str:
    return f"{value:#x}" if isinstance(value, int) else repr(value)
