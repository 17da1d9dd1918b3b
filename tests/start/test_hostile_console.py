# SPDX-License-Identifier: MIT
"""What guests print on Xen's console is neither read nor told without end."""

from __future__ import annotations

import errno

import pytest

from xenvcpu.context.presets import flat32
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.errors import HypercallError
from xenvcpu.model import console
from xenvcpu.model.answer import Refused
from xenvcpu.model.libraries import ModelLibraries


def test_a_guest_that_floods_the_console_does_not_flood_the_error(
    libraries: ModelLibraries, web: Dom0Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "SIZE", 1 << 20)

    def flood(call: object) -> object:
        for number in range(5000):
            libraries.host.console.print(f"(d2) line {number}")
        libraries.host.console.print("x" * 50_000)
        raise Refused(errno.EINVAL)

    libraries.fail("xc_domain_hvm_setcontext", flood)
    with pytest.raises(HypercallError) as caught:
        web.start([1], lambda vcpuid: flat32(eip=0x1000))
    assert 0 < len(caught.value.console) <= 100
    assert max(map(len, caught.value.console)) <= 1000
    assert caught.value.restored is True


def test_a_console_that_never_ends_is_read_no_further_than_a_bound(
    libraries: ModelLibraries, web: Dom0Domain
) -> None:
    """As if each read found the ring full again."""
    reads = 0

    def full_again(call: object) -> object:
        nonlocal reads
        reads += 1
        libraries.host.console.print("x" * console.SIZE)
        if reads < 5000:
            libraries.fail("xc_readconsolering", full_again)
        return call()  # type: ignore[operator]

    libraries.fail("xc_readconsolering", full_again)
    web.start([1], lambda vcpuid: flat32(eip=0x1000))
    assert 1 < reads < 5000
