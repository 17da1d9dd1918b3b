# SPDX-License-Identifier: MIT
"""All recipes of a release: probes, single bits, then random ones up to the number wanted."""

from __future__ import annotations

import itertools
from typing import List

from integration.verdicts import lints, probes, spread
from integration.verdicts.recipe import RECORD, VCPUOP, Recipe

EACH = 5000
"""Verdicts of each interface for a release."""


def of_release(release: str) -> List[Recipe]:
    """The recipes that are recorded on a release; the random ones differ from release to release."""
    found: List[Recipe] = []
    for interface, given in ((VCPUOP, probes.of_contexts()), (RECORD, probes.of_records())):
        fixed = [*given, *lints.of_interface(interface), *spread.every_bit(interface)]
        more = spread.at_random(interface, release)
        found += [*fixed, *itertools.islice(more, max(EACH - len(fixed), EACH // 4))]
    return [*found, *lints.entered()]
