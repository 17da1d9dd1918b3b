# SPDX-License-Identifier: MIT
"""What a real Xen says of itself, and what a start makes of it."""

from __future__ import annotations

from typing import Callable

import pytest

from integration import starts
from integration.evidence import host as machine
from integration.evidence import xl
from integration.evidence.tiny import TinyGuest
from xenvcpu import encoding
from xenvcpu.allowances import EVERY_RULE
from xenvcpu.api import Features, open_host
from xenvcpu.errors import RefusedContextError, StartError

Factory = Callable[..., TinyGuest]


@pytest.mark.smoke
def test_xen_says_how_it_was_built_and_dom0_whose_processor_it_is() -> None:
    """Distributions build without asserts; `xl dmesg` shows the same line. CPUID's vendor is that of the emulator."""
    with open_host("dom0") as host:
        assert host.dom0.is_debug_build() is False
        assert host.dom0.console().count(" debug=n") >= 1  # the question has not read on for others
        assert host.dom0.vendor == ("amd" if machine.is_amd() else "intel")
    assert " debug=n " in xl.run("dmesg")


def test_a_release_build_takes_what_only_debug_builds_assert(tiny_guest: Factory) -> None:
    """TR 0x89 in a literal record, on SVM: Xen takes it, and shows it busy afterwards, so that it is put back.

    What protects every host is refused there too, whatever is said.
    """
    if not machine.is_amd():
        pytest.skip("VT-x refuses to enter it")
    guest = tiny_guest(vcpus=2)
    with open_host("dom0") as host:
        domain = starts.drive(host, guest)
        record = encoding.to_cpu_record(starts.context(guest, "flat32", 1), host.release)
        deadly = record.with_values(msr_lstar=1 << 63)
        with pytest.raises(RefusedContextError, match="the whole host goes down"):
            domain.start([1], lambda vcpuid: deadly, features=Features(vendor="amd"), allow=EVERY_RULE)
        with pytest.raises(StartError, match="tr_arbytes is 0x8b, not 0x89") as caught:
            domain.start([1], lambda vcpuid: record.with_values(tr_arbytes=0x89))
        assert caught.value.restored is True
    guest.await_beats()
