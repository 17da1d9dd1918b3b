# SPDX-License-Identifier: MIT
"""All recipes of a recording: probes, single bits, then random ones up to the number wanted."""

from __future__ import annotations

import itertools
import random
from typing import Dict, List

from integration.verdicts import lints, probes, spread
from integration.verdicts.recipe import PLAIN, RECORD, SHADOWED, VCPUOP, Recipe

EACH = 5000
"""Verdicts of each interface for a release."""
WHOLE = ("4.14", "4.17", "4.20")
"""The recordings of all recipes; each is named as the release of the lab."""
SAMPLES: Dict[str, str] = {"4.14-shadow": "4.14", "4.20.5": "4.20.5"}
"""Those of some only, by the release.

That of shadow paging, which Debian builds up to 4.14, is not kept yet: the emulated host may be lost after it.
"""
RELEASES: Dict[str, str] = {**dict(zip(WHOLE, WHOLE)), **SAMPLES}
"""What is recorded, and the release that it is recorded on."""
_SAMPLED = 250
"""Of each interface's single bits and random contexts, beside all probes."""


def of_recording(name: str) -> List[Recipe]:
    """The recipes of a recording; the random ones differ from one to another."""
    if name in WHOLE:
        return _whole(name)
    chosen: List[Recipe] = []
    for interface, given in ((VCPUOP, probes.of_contexts()), (RECORD, probes.of_records())):
        more = [*spread.every_bit(interface), *itertools.islice(spread.at_random(interface, name), EACH)]
        chosen += [*given, *lints.of_interface(interface), *random.Random(name).sample(more, _SAMPLED)]
    chosen += lints.entered()
    if SAMPLES[name] == name:
        return chosen
    return [recipe._replace(domain=SHADOWED) for recipe in chosen if recipe.domain == PLAIN]


def _whole(release: str) -> List[Recipe]:
    found: List[Recipe] = []
    for interface, given in ((VCPUOP, probes.of_contexts()), (RECORD, probes.of_records())):
        fixed = [*given, *lints.of_interface(interface), *spread.every_bit(interface)]
        more = spread.at_random(interface, release)
        found += [*fixed, *itertools.islice(more, max(EACH - len(fixed), EACH // 4))]
    return [*found, *lints.entered()]
