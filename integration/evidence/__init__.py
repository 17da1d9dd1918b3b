# SPDX-License-Identifier: MIT
"""Evidence: what the suites see of a guest without the code under test.

Memory comes through libxenforeignmemory by a binding of its own, vcpu states
and Xen's console through ``xl``, registers from stubs that vcpus run.
"""
