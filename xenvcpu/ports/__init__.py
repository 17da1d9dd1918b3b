# SPDX-License-Identifier: MIT
"""The two places from which vcpus can be driven: in the guest, and in dom0. One expression per C call, no policy."""
