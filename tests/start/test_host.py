# SPDX-License-Identifier: MIT
"""How a host and a domain on it are found."""

from __future__ import annotations

import errno

import pytest

from tests.start.conftest import context
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import HostError, NoSuchDomainError
from xenvcpu.host import Host, open_host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries


@pytest.mark.parametrize("how", ["web", "1", 1])
def test_a_domain_is_found_by_name_and_domid(host: Host, how: object) -> None:
    assert host.domain(how).domid == 1  # type: ignore[arg-type]


def test_a_domain_is_found_by_its_uuid(host: Host, web: Dom0Domain) -> None:
    assert host.domain(web.uuid.upper()).domid == 1


def test_dom0_has_a_name_too(host: Host) -> None:
    assert host.domain("Domain-0").domid == host.domain("0").domid == 0


@pytest.mark.parametrize("how", ["nosuch", "77", "99999999999999999999", "-1", "²", ""])
def test_what_is_not_there_is_said_so(host: Host, how: str) -> None:
    with pytest.raises(NoSuchDomainError):
        host.domain(how)


def test_an_unknown_host_names_those_there_are() -> None:
    with pytest.raises(HostError, match="model:NAME"):
        open_host("xyz")


@pytest.mark.parametrize(("release", "lists"), [("4.17", 4), ("4.18", 0), ("4.22", 0)])
def test_one_domain_is_asked_for_without_a_sysctl_where_the_library_can(release: str, lists: int) -> None:
    """A restricted toolstack domain may make domctls and no sysctls; Xen's console is one too, and only explains."""
    libraries = ModelLibraries(worlds.pvh(release))
    for _ in range(4):
        libraries.fail("xc_readconsolering", errno.EPERM)
    with Host("model", libraries) as host:
        domain = host.domain(1)
        assert isinstance(domain, Dom0Domain) and domain.start([1], context).vcpuids == (1,)
        assert libraries.counts["xc_domain_getinfolist"] == lists
        with pytest.raises(NoSuchDomainError, match="there is no domain 7"):
            host.domain(7)
