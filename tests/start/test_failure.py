# SPDX-License-Identifier: MIT
"""What an errno means where it comes from."""

from __future__ import annotations

import errno

from xenvcpu.errors import NoSuchDomainError, NoSuchVcpuError
from xenvcpu.ports.failure import failure


def test_a_missing_domain_may_be_a_vcpu_that_is_not_made_yet() -> None:
    error = failure("xc_vcpu_getinfo", errno.ESRCH, domid=5, vcpuid=3)
    assert isinstance(error, NoSuchDomainError) and error.vcpuid == 3
    assert str(error).startswith("there is no domain 5, or its vcpu 3 is not made yet")


def test_a_vcpu_that_is_not_made_yet_is_no_missing_domain_from_4_22() -> None:
    error = failure("xc_vcpu_getinfo", errno.ENOENT, domid=5, vcpuid=3)
    assert isinstance(error, NoSuchVcpuError) and str(error) == "domain 5 has no vcpu 3"


def test_elsewhere_it_is_the_domain_that_is_missing() -> None:
    assert str(failure("xc_domain_pause", errno.ESRCH, domid=5)) == "there is no domain 5"
