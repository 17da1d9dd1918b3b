# SPDX-License-Identifier: MIT
"""Built-in worlds, and opening one by its spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from xenvcpu.errors import ContextError
from xenvcpu.model import judge, open_model, worldfile, worlds
from xenvcpu.model.domain import Shutdown
from xenvcpu.rules.release import KNOWN


@pytest.mark.parametrize("name", worlds.NAMES)
def test_every_world_has_a_docstring_and_a_guest(name: str) -> None:
    assert worlds.WORLDS[name].__doc__
    assert worlds.builtin(name).guests


@pytest.mark.parametrize("release", [str(release) for release in KNOWN])
@pytest.mark.parametrize("name", worlds.NAMES)
def test_every_vcpu_of_a_world_is_in_a_state_that_the_processor_can_enter(name: str, release: str) -> None:
    host = worlds.builtin(name, release)
    for domain in host.guests:
        for vcpu in domain.online:
            assert judge.fatal(host, domain, vcpu.image) == []
            assert judge.refusals_of_load(host, domain, vcpu, vcpu.image) == ()


def test_a_world_can_be_had_on_another_release() -> None:
    assert str(worlds.builtin("pvh", "4.20.1").release) == "4.20.1"


def test_busy_is_busy() -> None:
    host = worlds.busy()
    web, batch, db = host.guests
    assert [vcpu.is_initialised for vcpu in db.vcpus] == [True] * 4
    assert (batch.pause_count, len(list(web.online))) == (1, 2)


def test_big_has_128_vcpus() -> None:
    assert len(worlds.big().named("giant").vcpus) == 128


def test_crashed_has_crashed() -> None:
    assert worlds.crashed().named("dead").shutdown == Shutdown.crash


def test_new_takes_names_and_numbers_of_vcpus() -> None:
    host = worlds.new("4.20", [("a", 2), ("b", 128)])
    assert [(domain.domid, domain.name, len(domain.vcpus)) for domain in host.guests] == [(1, "a", 2), (2, "b", 128)]


@pytest.mark.parametrize("vcpus", [0, 129])
def test_a_domain_has_1_to_128_vcpus(vcpus: int) -> None:
    with pytest.raises(ContextError, match="1 to 128"):
        worlds.new("4.17", [("a", vcpus)])


def test_two_hosts_of_one_world_are_the_same() -> None:
    assert worldfile.to_json(worlds.busy()) == worldfile.to_json(worlds.busy())


def test_a_spec_is_a_name() -> None:
    with open_model("pvh") as libraries:
        assert (libraries.here, libraries.host.named("web").domid) == (0, 1)


@pytest.mark.parametrize("spec", ["busy@db", "busy@3"])
def test_a_spec_can_name_the_domain_to_stand_in(spec: str) -> None:
    with open_model(spec) as libraries:
        assert libraries.here == 3


def test_a_spec_can_be_a_file(tmp_path: Path) -> None:
    worldfile.new(str(tmp_path / "world"), "4.20", [("a", 2)])
    with open_model(f"{tmp_path}/world@a") as libraries:
        assert (libraries.here, str(libraries.host.release)) == (1, "4.20")


def test_an_unknown_world_names_those_that_there_are() -> None:
    with pytest.raises(ContextError, match="pvh, hvm, busy"):
        open_model("nowhere")


def test_an_unknown_domain_to_stand_in_names_those_that_there_are() -> None:
    with pytest.raises(ContextError, match="Domain-0, web"):
        open_model("pvh@other")
