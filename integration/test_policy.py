# SPDX-License-Identifier: MIT
"""What is read of a domain's CPU policy, compared bit by bit with what Xen then takes."""

from __future__ import annotations

import errno
from typing import Callable, Iterator

import pytest

from integration import starts
from integration.evidence.tiny import TinyGuest
from xenvcpu import encoding
from xenvcpu.abi.registers import CR0_PG, CR4_PAE, EFER_LMA, EFER_LME
from xenvcpu.abi.save_stream import END, Record, Typecode, join
from xenvcpu.api import Dom0Domain, Host, flat32, open_host
from xenvcpu.errors import HypercallError, RefusedContextError

Factory = Callable[..., TinyGuest]
Taken = Callable[..., bool]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


@pytest.fixture
def domain(host: Host, tiny_guest: Factory) -> Iterator[Dom0Domain]:
    """A guest that is paused, so that nothing runs of what is loaded into it."""
    found = host.domain(tiny_guest(vcpus=2).domid)
    assert isinstance(found, Dom0Domain)
    host.dom0.pause(found.domid)
    yield found
    host.dom0.unpause(found.domid)


@pytest.fixture
def taken(host: Host, domain: Dom0Domain) -> Taken:
    """Whether Xen takes a CPU record with these values for vcpu 1."""
    state = domain.state()
    made = encoding.to_cpu_record(flat32(0x1000, 0x8000), host.release)

    def ask(**values: int) -> bool:
        new = Record(Typecode.CPU, 1, made.with_values(**values).pack())
        try:
            host.dom0.load_context(domain.domid, join((state.header, *state.kept, new, END)))
        except HypercallError as error:
            assert error.errno in (errno.EINVAL, errno.EPERM)
            return False
        finally:
            host.dom0.reset_vcpu(domain.domid, 1)
        return True

    return ask


@pytest.mark.smoke
def test_xen_takes_the_bits_and_the_addresses_that_the_policy_allows_and_no_others(
    domain: Dom0Domain, taken: Taken, record_property: Callable[[str, object], None]
) -> None:
    """Each bit of CR4 and of EFER alone (LMA with what it needs), and each width of CR3."""
    long = {"cr0": CR0_PG | 0x11, "cr4": CR4_PAE}
    cr4 = sum(1 << bit for bit in range(64) if taken(cr4=1 << bit))
    efer = sum(
        1 << bit for bit in range(64)
        if (taken(**long, msr_efer=EFER_LME | EFER_LMA) if 1 << bit == EFER_LMA else taken(msr_efer=1 << bit))
    )
    width = next(bits for bits in range(32, 64) if not taken(cr3=1 << bits))
    record_property("policy", f"CR4 {cr4:#x}, EFER {efer:#x}, {width} bits")
    read = domain.policy()
    assert (read.cr4_valid, read.efer_valid, read.maxphysaddr) == (cr4, efer, width)
    assert CR4_PAE & cr4 and EFER_LME & efer


def test_a_bit_beyond_the_policy_is_refused_before_xen_is_asked(host: Host, tiny_guest: Factory) -> None:
    """PKE, which no processor of the lab has: without a policy Xen would refuse it with every vcpu down."""
    guest = tiny_guest(vcpus=2)
    context = starts.context(guest, "flat32", 1).replace(cr4=1 << 22)
    with pytest.raises(RefusedContextError) as caught:
        starts.drive(host, guest).start([1], lambda vcpuid: context)
    assert (caught.value.rule, caught.value.field) == ("cr4-bit", "cr4")
    guest.await_beats(5)


@pytest.mark.parametrize("feature, mask, bit", [("lm", "efer_valid", 1 << 8), ("pge", "cr4_valid", 1 << 7)])
def test_what_the_toolstack_takes_from_a_domain_is_gone_from_what_is_read(
    host: Host, tiny_guest: Factory, feature: str, mask: str, bit: int
) -> None:
    """`cpuid=` of xl: both masks follow the domain, not the host."""
    without = starts.drive(host, tiny_guest(vcpus=2, cpuid=f"host,{feature}=0")).policy()
    assert not getattr(without, mask) & bit and getattr(starts.drive(host, tiny_guest(vcpus=2)).policy(), mask) & bit
