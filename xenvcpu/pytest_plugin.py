# SPDX-License-Identifier: MIT
"""Fixtures for tests that drive vcpus: a model of Xen, and a domain on it.

They come with the package (entry point `pytest11`); nothing is imported until a test asks for one.

    @pytest.mark.xen_model("pvh", release="4.20")
    def test_all_vcpus_run(xen_domain, xen_model):
        xen_domain.start(xen_domain.down_vcpus(), lambda vcpuid: flat32(0x100000))
        assert all(not vcpu.is_down for vcpu in xen_model.host.guests[0].vcpus)

The marker names a built-in world (`xenvcpu.model.worlds.NAMES`) or a world file, the release of Xen,
and with `here="web"` the domain that the test stands in. Without it, the world is `pvh`. A
parametrised test may give the same by name: `parametrize("xen_model", ["pvh", "busy"], indirect=True)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterator, Union

import pytest

if TYPE_CHECKING:
    from xenvcpu.dom0domain import Dom0Domain
    from xenvcpu.guestdomain import GuestDomain
    from xenvcpu.model.libraries import ModelLibraries

_MARKER = "xen_model(world='pvh', *, release=None, here=None): the model of Xen that the test runs on"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def _wanted(request: pytest.FixtureRequest) -> Dict[str, Any]:
    """World, release and place that the test asks for, by parameter before marker."""
    found: Dict[str, Any] = {"world": "pvh", "release": None, "here": None}
    marker = request.node.get_closest_marker("xen_model")
    if marker is not None:
        found.update(zip(("world",), marker.args), **marker.kwargs)
    parameter = getattr(request, "param", None)
    found.update(parameter if isinstance(parameter, dict) else {} if parameter is None else {"world": parameter})
    return found


@pytest.fixture
def xen_model(request: pytest.FixtureRequest) -> Iterator[ModelLibraries]:
    """The C libraries of a model of Xen; `.host` is the Xen behind them, `.fail()` makes a C call fail."""
    from xenvcpu.model.worlds import open_world

    with open_world(**_wanted(request)) as libraries:
        yield libraries


@pytest.fixture
def xen_domain(xen_model: ModelLibraries) -> Iterator[Union[Dom0Domain, GuestDomain]]:
    """The first guest of `xen_model`, as dom0 drives it; the test's own domain if it stands in a guest."""
    from xenvcpu.host import SELF, Host

    with Host("model", xen_model) as host:
        yield host.domain(SELF if xen_model.here else xen_model.host.guests[0].domid)
