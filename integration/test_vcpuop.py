# SPDX-License-Identifier: MIT
"""What VCPUOP_initialise answers on a real Xen, against what the rules say it will."""

from __future__ import annotations

import errno
from typing import Callable, Dict, Iterator

import pytest

from integration.evidence.tiny import TinyGuest
from xenvcpu import encoding
from xenvcpu.api import Features, Host, Release, check_context, flat32, long64, open_host
from xenvcpu.abi.layout import Image

Factory = Callable[..., TinyGuest]
INITIALISE, UP, DOWN, IS_UP = 0, 1, 2, 3
LAB = Features(cr4_valid=0x7FC, efer_valid=0xD01, maxphysaddr=40)
"""What the emulated processor gives a domain; on other hosts only the cases within it say something."""

WIDE, FLAT = long64(0x1000, 0x8000, 0x2000), flat32(0x1000, 0x8000)
CASES: Dict[str, Dict[str, int]] = {
    "sound": {}, "pad": {"pad": 1}, "pad1": {"pad1": 1}, "pad2": {"pad2[1]": 1}, "mode": {"mode": 2},
    "cs data": {"cs_ar": 0xC93}, "cs null": {"cs_ar": 0}, "ss null": {"ss_ar": 0}, "ds null": {"ds_ar": 0},
    "es null": {"es_ar": 0}, "tr null": {"tr_ar": 0}, "ar bits": {"ds_ar": 0x1C93}, "vmx form": {"cs_ar": 0xC09B},
    "tr 16-bit": {"tr_ar": 0x83}, "tr code": {"tr_ar": 0xC9B}, "tr available": {"tr_ar": 0x89},
    "ss code": {"ss_ar": 0xC9B}, "ss read-only": {"ss_ar": 0xC91}, "ds execute-only": {"ds_ar": 0xC99},
    "ds system": {"ds_ar": 0xC83}, "cs not present": {"cs_ar": 0xC1B},
    "not accessed": {"cs_ar": 0xC9A, "ds_ar": 0xC92}, "eip": {"cs_limit": 0xFFF, "cs_ar": 0x49B},
    "eip in pages": {"cs_limit": 0x1, "cs_ar": 0xC9B}, "ss dpl": {"ss_ar": 0xCF3}, "ds dpl": {"ds_ar": 0xCF3},
    "ring 3": {"cs_ar": 0xCFB, "ss_ar": 0xCF3, "ds_ar": 0xCF3}, "lma": {"efer": 0x400}, "svme": {"efer": 0x1000},
    "efer 21": {"efer": 1 << 21}, "efer 63": {"efer": 1 << 63}, "cr4 15": {"cr4": 1 << 15}, "cr4 vme": {"cr4": 1},
    "cr4 all": {"cr4": 0x7FC}, "cr0 zero": {"cr0": 0}, "eflags": {"eflags": 0xFFFFFFFF},
}
WIDE_CASES: Dict[str, Dict[str, int]] = {
    "sound": {}, "rip": {"rip": 1 << 47}, "rip high": {"rip": 0xFFFF800000000000}, "no paging": {"cr0": 0x11},
    "no pae": {"cr4": 0}, "no lme": {"efer": 0x400}, "lme only": {"efer": 0x100}, "no pe": {"cr0": 0x80000010},
    "pad": {"pad": 7}, "cr4 32": {"cr4": 0x100000020},
}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with open_host("dom0") as opened:
        yield opened


def errno_of(image: Image, release: Release) -> int:
    name = check_context(image, release, LAB, 1).errno
    return 0 if name is None else -int(getattr(errno, name))


@pytest.mark.smoke
def test_xen_answers_every_case_as_the_rules_do(host: Host, tiny_guest: Factory) -> None:
    """One fresh vcpu, every case from both sides of its rule; a vcpu that was initialised is made fresh from dom0."""
    guest = tiny_guest(vcpus=2)
    domain = host.domain(guest.name)
    answers, expected = {}, {}
    for sound, cases in ((FLAT, CASES), (WIDE, WIDE_CASES)):
        for name, changes in cases.items():
            image = encoding.to_vcpu_hvm_context(sound).with_values(**changes)
            key = (image["mode"], name)
            answers[key] = guest.vcpu_op(INITIALISE, 1, image.pack())
            expected[key] = errno_of(image, host.dom0.release)
            if answers[key] == 0:
                assert guest.vcpu_op(INITIALISE, 1, image.pack()) == -errno.EEXIST
                domain.stop([1])
    assert answers == expected
    assert len(answers) > 40 and 0 < sum(1 for answer in answers.values() if answer) < len(answers)
    guest.await_beats()
