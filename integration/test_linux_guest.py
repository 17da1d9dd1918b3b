# SPDX-License-Identifier: MIT
"""Inside a Linux guest that was booted with maxcpus=1: the command drives its own vcpus."""

from __future__ import annotations

import json
from typing import Callable

import pytest

from integration import starts
from integration.evidence.linux import LinuxGuest
from xenvcpu.api import open_host

Factory = Callable[..., LinuxGuest]
FAULTS = 14
"""The release, 4.14, where that could not be shown."""


@pytest.fixture(scope="module")
def second_vcpu() -> None:
    """Linux stands it that another vcpu of its domain runs."""
    with open_host("dom0") as host:
        if host.release.minor == FAULTS:
            pytest.skip("on 4.14 in QEMU Linux meets page faults in its own text once another vcpu runs: not explained")


def command(guest: LinuxGuest, line: str) -> tuple[int, str]:
    status, output = guest.run(f"xenvcpu {line} 2>&1", timeout=120)
    return status, output


def settings(**values: int) -> str:
    return " ".join(f"--set {name}={value:#x}" for name, value in values.items())


def test_start_self_runs_a_vcpu_through_vcpuop(linux_guest: Factory, second_vcpu: None) -> None:
    """`xenvcpu start self 1` in the guest: the stub dumps its registers; list, stop, and why it won't start again."""
    guest = linux_guest(vcpus=4)
    status, output = command(guest, "doctor")
    assert status == 0 and "inside a guest" in output, output

    context = starts.context(guest, "flat32", 1)
    guest.run("xenvcpu preset flat32 > /tmp/ap.toml")
    asked = settings(eip=context.rip, esp=context.rsp, edi=context.rdi, esi=context.rsi)
    status, output = command(guest, f"start self 1 /tmp/ap.toml {asked}")
    assert status == 0, output
    seen = guest.dump(1)
    assert (seen["width"], seen["rdi"], seen["rsi"]) == (32, context.rdi, context.rsi)
    assert guest.online() == [0, 1]

    status, output = command(guest, "--json list self")
    assert status == 0, output
    vcpus = json.loads(output)["domains"][0]["vcpus"]
    assert [vcpu["online"] for vcpu in vcpus] == [True, True, False, False]

    status, output = command(guest, "stop self 1")
    assert status == 0 and guest.online() == [0], output
    status, output = command(guest, f"start self 1 /tmp/ap.toml {asked}")
    assert status == 4 and "initialised already" in output, output
    status, output = command(guest, "up self 1")
    assert status == 0 and guest.online() == [0, 1], output
    status, output = command(guest, "stop self 1")
    assert status == 0, output

    status, output = command(guest, "start self 2 /tmp/ap.toml --set cs_ar=0xc93")
    assert status == 3 and "cs-not-code" in output, output
    status, output = command(guest, "start self 2 /tmp/ap.toml --set cs_ar=0xc93 --force")
    assert status == 4 and "EINVAL" in output, output
    status, output = command(guest, "start self 2 /tmp/ap.toml --set r8=1")
    assert status != 0 and "r8" in output, output
    assert guest.online() == [0]


def test_long64_from_inside(linux_guest: Factory, second_vcpu: None) -> None:
    """A 64-bit start lands in long mode on page tables that dom0 wrote beside the kernel."""
    guest = linux_guest(vcpus=2)
    context = starts.context(guest, "long64", 1)
    guest.run("xenvcpu preset long64 > /tmp/ap.toml")
    asked = settings(rip=context.rip, rsp=context.rsp, cr3=context.cr3, rdi=context.rdi)
    status, output = command(guest, f"start self 1 /tmp/ap.toml {asked}")
    assert status == 0, output
    seen = guest.dump(1)
    assert (seen["width"], seen["rdi"], seen["efer"]) == (64, context.rdi, 0x500)


def test_a_restricted_privcmd_is_explained(linux_guest: Factory) -> None:
    """With the kernel's restriction on, the command ends with 5 and says how to lift it."""
    guest = linux_guest(vcpus=2, unrestricted=False)
    status, output = command(guest, "list self")
    assert status == 5 and "unrestricted=1" in output, output
    status, output = command(guest, "doctor")
    assert "unrestricted=1" in output, output
