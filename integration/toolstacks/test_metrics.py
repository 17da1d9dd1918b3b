# SPDX-License-Identifier: MIT
"""`xenvcpu metrics` of a real Xen: true, readable for Prometheus at any moment, and nobody is paused for them."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, Tuple

import pytest

from integration.evidence.command import xenvcpu
from integration.evidence.control import Control
from integration.evidence.tiny import TinyGuest
from integration.drivers import parked
from xenvcpu.api import open_host

Factory = Callable[..., TinyGuest]
Samples = Dict[Tuple[str, FrozenSet[Tuple[str, str]]], float]
MOST_PAUSES = 255
"""Xen counts a toolstack's pauses of a domain up to that."""

_COMMENT = re.compile(r"# (HELP|TYPE) ([a-z_]+) (\S.*)")
_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (-?[0-9.e+-]+)')
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def read(text: str) -> Samples:
    """The samples of Prometheus' text format; nothing but that format gets through."""
    assert text.endswith("\n")
    found: Samples = {}
    kinds: Dict[str, str] = {}
    helped: List[str] = []
    for line in text.splitlines():
        comment, sample = _COMMENT.fullmatch(line), _SAMPLE.fullmatch(line)
        if comment is not None:
            word, name, rest = comment.groups()
            assert name not in (helped if word == "HELP" else kinds), f"a second {word} of {name}"
            if word == "HELP":
                helped.append(name)
            else:
                assert rest in ("gauge", "counter"), line
                kinds[name] = rest
            continue
        assert sample is not None, f"not of the format: {line!r}"
        name, labels, value = sample.groups()
        assert helped[-1] == name == list(kinds)[-1], f"{name} is not where its HELP and TYPE are"
        assert (kinds[name] == "counter") == name.endswith("_total")
        key = name, frozenset(_LABEL.findall(labels or ""))
        assert key not in found, f"twice: {line}"
        found[key] = float(value)
    return found


def of(samples: Samples, name: str, **labels: str) -> float:
    (value,) = (value for (each, at), value in samples.items() if each == name and labels.items() <= dict(at).items())
    return value


def measured() -> Samples:
    done = xenvcpu("metrics")
    assert done.returncode == 0, done.stderr
    return read(done.stdout)


@pytest.fixture
def guest(tiny_guest: Factory) -> TinyGuest:
    made = tiny_guest(vcpus=4)
    with open_host("dom0") as host:
        host.domain(made.name).start([1, 3], parked)
    return made


def test_they_tell_what_xl_tells(guest: TinyGuest) -> None:
    """Which vcpus of a domain are up, that it is not paused, that it ran; and dom0 is among the domains."""
    samples = measured()
    up = [of(samples, "xen_domain_vcpu_online", domid=str(guest.domid), cpu_id=str(n)) for n in range(4)]
    assert [number for number, value in enumerate(up) if value] == guest.online() == [0, 1, 3]
    web = {"domain_name": guest.name, "domid": str(guest.domid)}
    assert of(samples, "xen_domain_cpu_count", **web) == 4
    assert of(samples, "xen_domain_cpu_online_count", **web) == 3
    assert (of(samples, "xen_domain_paused", **web), of(samples, "xen_domain_shutdown", **web)) == (0, 0)
    assert 0 < of(samples, "xen_domain_vcpu_time_total", cpu_id="0", **web) < 600
    assert of(samples, "xen_domain_info", domid="0", type="pv") == 1


def test_the_file_is_whole_whenever_it_is_read(guest: TinyGuest, tmp_path: Path) -> None:
    """While it is written anew each reading is strictly of the format; it is for all to read, and alone."""
    file = tmp_path / "xenvcpu.prom"
    first = xenvcpu("metrics", "--output", file)
    assert (first.returncode, first.stdout) == (0, ""), first.stderr
    seen: List[str] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.05):  # the one processor is the writer's too
            seen.append(file.read_text())

    reader = threading.Thread(target=look)
    reader.start()
    inodes = {file.stat().st_ino}
    try:
        for _ in range(2):
            assert xenvcpu("metrics", "--output", file).returncode == 0
            inodes.add(file.stat().st_ino)
    finally:
        is_over.set()
        reader.join()
    assert len(inodes) > 1 and len(set(seen)) > 1
    for text in set(seen):
        assert of(read(text), "xen_domain_cpu_online_count", domid=str(guest.domid)) == 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["xenvcpu.prom"]


def test_no_pause_is_taken_for_them(guest: TinyGuest) -> None:
    """With as many pauses held as Xen can count one more would fail; and each of ours is still there afterwards."""
    with closing(Control()) as control:
        for _ in range(MOST_PAUSES):
            control.pause(guest.domid)
        with pytest.raises(OSError) as refused:
            control.pause(guest.domid)
        assert refused.value.errno == errno.EOVERFLOW
        assert of(measured(), "xen_domain_paused", domid=str(guest.domid)) == 1
        for _ in range(MOST_PAUSES):
            assert control.is_paused(guest.domid)
            control.unpause(guest.domid)
        assert not control.is_paused(guest.domid)
    guest.await_beats()
