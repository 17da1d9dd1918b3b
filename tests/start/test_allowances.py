# SPDX-License-Identifier: MIT
"""Who needs one exception gets that one, and no other."""

from __future__ import annotations

import pytest

from xenvcpu import objections
from xenvcpu.allowances import EVERY_RULE, NONE, Allowance, Allowances
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import (
    ContextError, DomainNotBuiltError, HypercallError, LastVcpuError, NestedHvmError, RefusedContextError,
)
from xenvcpu.host import Host
from xenvcpu.model import worlds
from xenvcpu.model.libraries import ModelLibraries

from .conftest import context

EFER_SVME, CR4_VMXE = {"msr_efer": 1 << 12}, {"cr4": 1 << 13}


def refused_twice(vcpuid: int) -> VcpuContext:
    return context(vcpuid).replace(cr4=1 << 15, rflags=0x8002)


def all_but(allowance: Allowance) -> Allowances:
    return Allowances(frozenset(Allowance) - {allowance}, frozenset(("all",)))


def set_in_boot_vcpu(libraries: ModelLibraries, changes: dict[str, int]) -> None:
    boot = libraries.host.named("web").vcpus[0]
    boot.state = boot.image.with_values(**{name: boot.image[name] | bits for name, bits in changes.items()}).pack()


def test_an_exception_is_made_from_its_name_and_nothing_is_allowed_without_one() -> None:
    made = Allowances.of("firmware", "last", ignore_rules=["cr4-bit"])
    assert Allowance.FIRMWARE in made and Allowance.LAST in made and Allowance.UNBUILT not in made
    assert made.ignores("cr4-bit") and not made.ignores("cr0-no-et") and EVERY_RULE.ignores("cr0-no-et")
    assert not any(each in NONE for each in Allowance) and not NONE.ignores("all")


@pytest.mark.parametrize("names, rules, told", [
    (("firmwar",), (), "'firmware' is one"), ((), ("cr4-bits",), "'cr4-bit' is one"), ((), ("zzz",), "xenvcpu-rules"),
    (("force",), (), "no exception 'force'"), ((), ("no-stack-at-all",), "no rule"),
])
def test_what_is_no_exception_and_no_rule_is_told(names: tuple[str, ...], rules: tuple[str, ...], told: str) -> None:
    with pytest.raises(ContextError, match=told):
        Allowances.of(*names, ignore_rules=rules)


def test_a_rule_that_is_ignored_lets_no_other_through(web: Dom0Domain) -> None:
    for rules, first in (((), "cr4-bit"), (("cr4-bit",), "rflags-reserved"), (("rflags-reserved",), "cr4-bit")):
        with pytest.raises(RefusedContextError) as caught:
            web.start([1], refused_twice, allow=Allowances.of(ignore_rules=rules))
        assert caught.value.rule == first
        assert {found.rule for found in caught.value.verdict.findings} >= {"cr4-bit"}
    with pytest.raises(HypercallError):
        web.start([1], refused_twice, allow=Allowances.of(ignore_rules=("cr4-bit", "rflags-reserved")))


def test_all_others_together_do_not_allow_a_start_before_it_is_built(
    libraries: ModelLibraries, web: Dom0Domain
) -> None:
    boot = libraries.host.named("web").vcpus[0]
    boot.reset()
    boot.cpu_time = 0
    with pytest.raises(DomainNotBuiltError, match="--allow-unbuilt"):
        web.start([0], context, allow=all_but(Allowance.UNBUILT))


def test_all_others_together_do_not_allow_the_last_vcpu_to_go(web: Dom0Domain) -> None:
    with pytest.raises(LastVcpuError, match="--allow-last"):
        web.stop([0], allow=all_but(Allowance.LAST))


@pytest.mark.parametrize("changes, bit", [(EFER_SVME, "EFER.SVME"), (CR4_VMXE, "CR4.VMXE")])
def test_a_domain_that_may_run_guests_of_its_own_is_not_touched(
    libraries: ModelLibraries, web: Dom0Domain, changes: dict[str, int], bit: str
) -> None:
    web.start([1], context)
    set_in_boot_vcpu(libraries, changes)
    every_allowance = Allowances(frozenset(Allowance))
    with pytest.raises(NestedHvmError, match=rf"vcpu 0 of domain 1 has {bit}.*--ignore-rules nested-hvm"):
        web.start([2], context, allow=every_allowance)
    with pytest.raises(NestedHvmError):
        web.stop([1], allow=every_allowance)
    assert not libraries.host.named("web").vcpus[1].is_down and libraries.host.named("web").pause_count == 0
    assert web.stop([1], allow=Allowances.of(ignore_rules=["nested-hvm"])) == (1,)


def test_a_vcpu_that_is_down_runs_no_guest(libraries: ModelLibraries, web: Dom0Domain) -> None:
    parked = libraries.host.named("web").vcpus[3]
    parked.state = parked.image.with_values(**EFER_SVME).pack()
    assert web.start([1], context).vcpuids == (1,)


def test_all_that_a_start_would_be_refused_for_is_listed_with_its_options(
    libraries: ModelLibraries, web: Dom0Domain
) -> None:
    set_in_boot_vcpu(libraries, EFER_SVME)
    libraries.calls.clear()
    found = objections.to_start(web, [1, 2], refused_twice, allow=NONE)
    assert [each.option for each in found] == [
        "--ignore-rules cr4-bit", "--ignore-rules rflags-reserved", "--ignore-rules nested-hvm",
    ]
    assert all(each.why.startswith("vcpu ") for each in found)
    assert not libraries.counts["xc_domain_hvm_setcontext"] and not libraries.counts["xc_domain_pause"]
    assert objections.to_start(web, [1], refused_twice, allow=EVERY_RULE) == ()


def test_an_hvm_guest_may_lose_an_access_and_nothing_accepts_what_kills_the_host() -> None:
    with Host("model", ModelLibraries(worlds.hvm())) as host:
        db = host.domains()[0]
        found = objections.to_start(db, [1], context, allow=NONE)
        assert "--allow-device-access-loss" in [each.option for each in found]
        with pytest.raises(RefusedContextError, match="the whole host"):
            objections.to_start(db, [1], lambda vcpuid: context(vcpuid).replace(shadow_gs=1 << 47), allow=NONE)
