# SPDX-License-Identifier: MIT
"""The recorded verdicts are true: some of them, chosen anew each time, are given again by the running Xen."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path
from typing import List

import pytest

from integration.promises import IS_BRISK
from integration.verdicts import recipe as names
from integration.verdicts import store
from integration.verdicts.judge import Court, judged_otherwise
from integration.verdicts.store import CRASH, Recording
from xenvcpu.api import open_host

SAMPLE = 60 if IS_BRISK else 200
CRASHES = 1 if IS_BRISK else 2
"""Each of them costs a domain."""
SEQUENCES = 2 if IS_BRISK else 5
SHADOW = "shadow"


def recordings_of(xen: str) -> List[Recording]:
    """What was recorded on this very Xen, or on its branch."""
    # those of shadow paging are asked again by recording them anew: what is done there may cost the host
    every = [store.read(path) for path in store.files() if SHADOW not in path.name]
    found = [recording for recording in every if recording.xen.rsplit(".", 1)[0] == xen.rsplit(".", 1)[0]]
    return found or pytest.skip(f"no verdicts were recorded on Xen {xen}")


def test_xen_says_again_what_was_recorded(tiny_image: Path) -> None:
    """Contexts by the dozen on both interfaces get the same errno, console lines and outcome as in the files."""
    seed = random.randrange(1 << 32)
    with open_host("dom0") as host, closing(Court(tiny_image, host.dom0)) as court:
        recorded = [verdict for each in recordings_of(str(host.dom0.release)) for verdict in each.verdicts]
        kept = [verdict for verdict in recorded if verdict.recipe.kind in (names.VCPUOP, names.RECORD)]
        usual = [verdict for verdict in kept if verdict.outcome != CRASH]
        crashing = [verdict for verdict in kept if verdict.outcome == CRASH]
        chosen = random.Random(seed).sample(usual, SAMPLE) + random.Random(seed).sample(crashing, CRASHES)
        differing = judged_otherwise(lambda recipes: court.judge(recipes, lambda line: None), chosen)
    assert differing == [], f"seed {seed}"


def test_sequences_of_calls_leave_again_what_was_recorded(tiny_image: Path) -> None:
    """After each call of some sequences the vcpus, the saves and the pauses are as in the files."""
    seed = random.randrange(1 << 32)
    with open_host("dom0") as host, closing(Court(tiny_image, host.dom0)) as court:
        recorded = [each for recording in recordings_of(str(host.dom0.release)) for each in recording.traces]
        chosen = random.Random(seed).sample(recorded, SEQUENCES)
        assert court.traces([steps for steps, _ in chosen]) == chosen, f"seed {seed}"
