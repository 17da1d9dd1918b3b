# SPDX-License-Identifier: MIT
"""A start goes by the domain's CPU policy, before anything is touched."""

from __future__ import annotations

import errno

import pytest

from xenvcpu.context.presets import flat32, long64
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.errors import HypercallError, LibraryMissingError, RefusedContextError
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.rules.features import UNKNOWN, Features

PKE = 1 << 22
TOUCHING = {"xc_domain_pause", "xc_domain_hvm_setcontext"}


def with_cr4(cr4: int) -> VcpuContext:
    return flat32(0x100000, 0x80000).replace(cr4=cr4)


def start(libraries: ModelLibraries, context: VcpuContext, features: Features = UNKNOWN) -> None:
    with Host("model", libraries) as host:
        host.domains()[0].start([1], lambda vcpuid: context, features=features)


@pytest.mark.parametrize("release", ["4.12", "4.15", "4.16", "4.17", "4.20", "4.22"])
def test_a_bit_that_the_policy_lacks_is_refused_before_anything_is_touched(release: str) -> None:
    libraries = ModelLibraries(worlds.pvh(release))
    with pytest.raises(RefusedContextError, match="PKE.*cr4-bit"):
        start(libraries, with_cr4(PKE))
    assert not TOUCHING & set(libraries.counts)


def test_a_plan_goes_by_it_too() -> None:
    with Host("model", ModelLibraries(worlds.pvh())) as host:
        with pytest.raises(RefusedContextError, match="PKE"):
            host.domains()[0].plan([1], lambda vcpuid: with_cr4(PKE))


def test_the_width_of_an_address_is_the_policys() -> None:
    with pytest.raises(RefusedContextError, match="cr3-width"):
        start(ModelLibraries(worlds.pvh()), long64(0x100000, 0x80000, cr3=1 << 46))
    start(ModelLibraries(worlds.pvh()), long64(0x100000, 0x80000, cr3=1 << 45))


@pytest.mark.parametrize("release", ["4.7", "4.11"])
def test_where_xen_shows_no_policy_it_is_unknown_and_xen_is_asked(release: str) -> None:
    libraries = ModelLibraries(worlds.pvh(release))
    with pytest.raises(HypercallError) as caught:
        start(libraries, with_cr4(PKE))
    assert caught.value.op == "xc_domain_hvm_setcontext" and caught.value.restored
    assert not [name for name in libraries.counts if "policy" in name]


def test_without_libxenguest_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(libraries: ModelLibraries) -> object:
        raise LibraryMissingError("libxenguest is not there", name="libxenguest")

    libraries = ModelLibraries(worlds.pvh())
    del libraries.xenguest
    monkeypatch.setattr(ModelLibraries, "xenguest", property(missing), raising=False)
    with Host("model", libraries) as host:
        assert host.domains()[0].policy() == Features(vendor="intel")


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.ERANGE])
def test_where_the_policy_is_kept_back_it_is_unknown(number: int) -> None:
    libraries = ModelLibraries(worlds.pvh())
    libraries.fail("xc_cpu_policy_get_domain", number)
    with Host("model", libraries) as host:
        assert host.domains()[0].policy().cr4_valid is None
    assert libraries.leaks == {}


@pytest.mark.parametrize("release, function", [
    ("4.15", "xc_get_domain_cpu_policy"), ("4.17", "xc_cpu_policy_init"), ("4.17", "xc_cpu_policy_get_domain"),
    ("4.17", "xc_cpu_policy_serialise"),
])
def test_another_failure_ends_the_start_with_nothing_touched(release: str, function: str) -> None:
    libraries = ModelLibraries(worlds.pvh(release))
    libraries.fail(function, errno.ENOMEM)
    with pytest.raises(HypercallError, match=function):
        start(libraries, with_cr4(0x20))
    assert not TOUCHING & set(libraries.counts) and libraries.leaks == {}


def test_a_mask_that_is_given_narrows_the_policy_and_never_widens_it() -> None:
    with pytest.raises(RefusedContextError, match="PAE"):
        start(ModelLibraries(worlds.pvh()), with_cr4(0x20), Features(cr4_valid=0x10))
    with pytest.raises(RefusedContextError, match="PKE"):
        start(ModelLibraries(worlds.pvh()), with_cr4(PKE), Features(cr4_valid=PKE))


def test_shadow_paging_is_what_xen_says() -> None:
    with Host("model", ModelLibraries(worlds.shadow())) as host:
        assert not host.domains()[0].policy().is_hap
    with Host("model", ModelLibraries(worlds.pvh())) as host:
        assert host.domains()[0].policy(Features(is_hap=False)).is_hap
