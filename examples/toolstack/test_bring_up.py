# SPDX-License-Identifier: MIT
"""Tests of `bring_up.py`, with the fixtures that xenvcpu brings along; they run on any Linux.

pytest examples/toolstack
pytest examples/toolstack --xen-host=dom0 --xen-domain=GUEST    # and on a real Xen, what can be there
"""

from __future__ import annotations

import errno

import pytest
from bring_up import ENTRY, STACK, STACK_SIZE, bring_up, main


def test_every_vcpu_runs(xen_host, xen_model):
    assert bring_up(xen_host, "web") == [1, 2, 3]
    assert [vcpu.is_down for vcpu in xen_model.host.named("web").vcpus] == [False] * 4


def test_a_second_time_there_is_nothing_to_do(xen_host, xen_model):
    bring_up(xen_host, "web")
    assert bring_up(xen_host, "web") == []


def test_each_vcpu_has_a_stack_of_its_own(xen_host, xen_domain, xen_model):
    bring_up(xen_host, "web")
    first, second = xen_domain.record(1), xen_domain.record(2)
    # An assertion about two records says which registers differ.
    assert first.with_values(rsp=STACK + 2 * STACK_SIZE) == second
    assert first["rip"] == ENTRY


@pytest.mark.xen_model("busy")
def test_a_guest_that_is_not_there_keeps_no_other_waiting(xen_host, capsys):
    assert main(["web", "nobody", "db"], xen_host) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == ["web: started [2, 3]", "db: started [1, 2, 3]"]
    assert "nobody: not as it should be" in told.err


@pytest.mark.parametrize("call", ["getcontext", "setcontext"])
def test_a_guest_that_xen_refuses_is_as_it_was(xen_host, xen_model, capsys, call):
    xen_model.fail(call, errno.ENOMEM)
    assert main(["web"], xen_host) == 1
    assert "ENOMEM" in capsys.readouterr().err
    web = xen_model.host.named("web")
    assert [vcpu.is_down for vcpu in web.vcpus] == [False, True, True, True]
    assert web.pause_count == 0


@pytest.mark.parametrize("xen_model", [{"release": "4.11"}, {"release": "4.17"}, {"release": "4.22"}], indirect=True)
def test_every_release_of_xen_will_do(xen_host, xen_model):
    assert bring_up(xen_host, "web") == [1, 2, 3]


@pytest.mark.real_xen("dom0")
def test_on_a_real_xen(xen_host, xen_domain):
    xen_domain.stop(range(1, xen_domain.info.vcpu_count))
    assert bring_up(xen_host, xen_domain.name) == list(range(1, xen_domain.info.vcpu_count))
