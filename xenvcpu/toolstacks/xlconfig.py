# SPDX-License-Identifier: MIT
"""What the JSON that `xl create -n` prints says of a domain's vcpus.

Source: libxl_cpuid_policy_list_gen_json, libxl_defbool_gen_json and libxl_bitmap_gen_json (libxl, 4.14 to 4.22). It
leaves out what has its default.
"""

from __future__ import annotations

from typing import Any, FrozenSet, Iterator, Mapping

from xenvcpu.abi.cpuid import FEATURES, NO_SUBLEAF, Place
from xenvcpu.toolstacks.configured import Configured

_DEFBOOL: Mapping[Any, bool] = {"True": True, "False": False, True: True, False: False}
_WIDTH = 32


def understood(create: Mapping[str, Any], build: Mapping[str, Any]) -> Configured:
    """What `c_info` and `b_info` say; what has another form than libxl gives it is not understood, and unknown."""
    hap, online = create.get("hap"), build.get("avail_vcpus")
    is_list = isinstance(online, list) and all(type(vcpuid) is int for vcpuid in online)
    return Configured(
        _DEFBOOL.get(hap) if isinstance(hap, (str, bool)) else None, _lacks(build.get("cpuid")),
        frozenset(online) if is_list and isinstance(online, list) else None,
    )


def _lacks(policy: object) -> FrozenSet[str]:
    """The features whose bit the policy has as `0`, in a text of 32 characters from bit 31 down."""
    entries = list(_entries(policy))
    return frozenset(name for name, place in FEATURES.items() if any(_is_off(entry, place) for entry in entries))


def _entries(policy: object) -> Iterator[Mapping[str, object]]:
    listed = policy.get("cpuid") if isinstance(policy, dict) else policy
    yield from (entry for entry in listed if isinstance(entry, dict)) if isinstance(listed, list) else ()


def _is_off(entry: Mapping[str, object], place: Place) -> bool:
    # A leaf that has subleaves is given with one; those without are given without.
    subleaf = entry.get("subleaf", NO_SUBLEAF)
    bits = entry.get(f"e{place.register}x")
    is_here = (entry.get("leaf"), subleaf) == (place.leaf, place.subleaf)
    return is_here and isinstance(bits, str) and len(bits) == _WIDTH and bits[_WIDTH - 1 - place.bit] == "0"
