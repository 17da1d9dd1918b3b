# SPDX-License-Identifier: MIT
"""`xenvcpu xl create`, over a real xl."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Callable, Iterator

import pytest

from integration.evidence import xl
from integration.evidence.command import xenvcpu, xenvcpu_json
from integration.evidence.stubs import await_true
from integration.evidence.tiny import TinyGuest
from integration.evidence.tinymemory import FoundGuest
from integration.guest import build
from integration.limits import run
from integration.toolstacks import announcing

VCPUS = 4
_numbers = itertools.count(1)


class Config:
    """A configuration file of a tiny guest."""

    def __init__(self, path: Path, kernel: Path) -> None:
        self.path = path
        self.name = f"xl-{next(_numbers)}"
        path.write_text(
            f'name = "{self.name}"\ntype = "pvh"\nkernel = "{kernel}"\nmemory = 64\nvcpus = {VCPUS}\n'
            'on_reboot = "destroy"\non_crash = "preserve"\n'
        )

    def add(self, text: str) -> None:
        self.path.write_text(self.path.read_text() + text)

    def exists(self) -> bool:
        return self.name in xl.run("list")


@pytest.fixture
def config(tmp_path: Path, tiny_image: Path) -> Iterator[Config]:
    made = Config(tmp_path / "tiny.cfg", tiny_image / build.KERNEL)
    yield made
    if made.exists():
        xl.run("destroy", made.name)


def test_a_domain_that_others_create_begins_with_its_boot_vcpu_alone(tiny_guest: Callable[..., TinyGuest]) -> None:
    """So that what the other tests see of the first moment is what we have done."""
    assert tiny_guest(vcpus=VCPUS).up_at_first() == []


def test_nothing_of_a_domain_runs_before_its_vcpus_are_in_place(config: Config, context: Path, number: int) -> None:
    """The first that the boot vcpu sees is that all the others are up; each runs the code that it was given."""
    created = xenvcpu_json("xl", "create", config.path, context)
    guest = FoundGuest(config.name)
    assert (created["domid"], created["name"], created["started"]) == (guest.domid, config.name, [1, 2, 3])
    guest.await_announced(announcing.expected(number, VCPUS))
    assert guest.up_at_first() == [1, 2, 3]
    assert xl.online(guest.domid) == [0, 1, 2, 3]
    guest.await_beats()
    guest.close()


def test_vcpus_that_are_configured_offline_are_left_so_until_they_are_plugged_in(config: Config, context: Path) -> None:
    """`maxvcpus` above `vcpus`: by xenstore, where xl says which are to be online, also once the domain runs."""
    config.add(f"maxvcpus = {VCPUS + 2}\n")
    created = xenvcpu_json("xl", "create", config.path, context)
    assert (created["started"], created["offline"]) == ([1, 2, 3], [4, 5])
    assert xl.online(created["domid"]) == [0, 1, 2, 3]
    assert xenvcpu_json("start", config.name, "all", context)["started"] == []
    xl.run("vcpu-set", "--ignore-host", config.name, str(VCPUS + 1))
    assert xenvcpu_json("start", config.name, "all", context)["started"] == [4]
    by_name = xenvcpu_json("start", config.name, "5", context)
    assert by_name["started"] == [5] and "offline by their toolstack" in by_name["notes"][0]


def test_options_of_xl_are_passed_on(config: Config, context: Path, number: int) -> None:
    """With `-p` and `KEY=VALUE` among them the domain stays paused, and has the value; `xl unpause` lets it run."""
    done = xenvcpu("xl", "create", config.path, context, "--vcpus", "2", "--xl", "--", "-p", "memory=48")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    domid = xl.domid(config.name)
    assert xl.run("list", config.name).splitlines()[1].split()[2] == "48"
    assert xl.state(domid) == "--p---"
    xl.run("unpause", config.name)
    guest = FoundGuest(config.name)
    assert guest.up_at_first() == [2]
    await_true(lambda: guest.announced(VCPUS)[2] == number + 2, "vcpu 2 does not run", 30)
    assert xl.online(domid) == [0, 2]
    guest.close()


def test_what_xl_says_of_a_wrong_configuration_is_said(config: Config, context: Path) -> None:
    """With `--xl` it ends with xl's exit code, and its text has every line of xl's; nothing is created."""
    config.add('memory = "lots\n')
    alone = run(["xl", "create", str(config.path)], 60)
    done = xenvcpu("xl", "create", config.path, context, "--xl")
    assert (done.returncode, done.stdout) == (alone.returncode, "") and alone.returncode == 1
    assert alone.stderr and [line for line in alone.stderr.splitlines() if line.strip() not in done.stderr] == []
    assert not config.exists()


def test_a_domain_that_xl_cannot_build_leaves_nothing(config: Config, context: Path) -> None:
    """A kernel that is none: exit code 1, with what libxl says."""
    context.with_name("kernel").write_text("no kernel at all\n" * 99)
    config.add(f'kernel = "{context.with_name("kernel")}"\n')
    done = xenvcpu("xl", "create", config.path, context)
    assert done.returncode == 1 and "libxl" in done.stderr, done
    assert not config.exists()


def test_a_domain_whose_vcpus_xen_refuses_is_destroyed(config: Config, context: Path) -> None:
    """Exit code 4 with Xen's reason, and with `--on-failure pause` it is kept, paused."""
    refused = ("xl", "create", config.path, context, "--set", "cr4=0x8000", "--ignore-rules", "cr4-bit")
    done = xenvcpu(*refused)
    assert done.returncode == 4 and "was destroyed" in done.stderr, done
    assert not config.exists()
    kept = xenvcpu(*refused, "--on-failure", "pause")
    assert kept.returncode == 4 and "is left paused" in kept.stderr, kept
    assert xl.state(xl.domid(config.name)) == "--p---"
    assert xl.online(xl.domid(config.name)) == [0]
