# SPDX-License-Identifier: MIT
"""Jobs and releases: what goes into the dom0."""

import json
from pathlib import Path

import pytest

from integration.lab import wheels
from integration.lab.errors import LabError
from integration.lab.job import Job
from integration.lab.qemu import Machine
from integration.lab.releases import RELEASES, find_release


def test_all_suites_run_unless_some_are_named() -> None:
    """The whole folder is the default; a path or node id takes its place, an option does not."""
    assert Job.pytest((), 10).argv[-1] == "integration"
    assert Job.pytest(("-k", "beat"), 10).argv[-3:] == ("-k", "beat", "integration")
    assert Job.pytest(("integration/test_lab.py::test_beat",), 10).argv[-1].endswith("test_beat")


def test_promises_are_brisk_unless_in_full() -> None:
    """The suites read it from their environment."""
    assert "XENVCPU_BRISK=1" in Job.pytest((), 10).argv
    assert "XENVCPU_BRISK=" in Job.pytest((), 10, is_full=True).argv


def test_the_dom0_reads_its_job() -> None:
    """The description is JSON with kind, command line and limit."""
    files = Job("exec", ("xl", "list"), 5.0).files()
    assert json.loads(files["lab/job.json"]) == {"kind": "exec", "argv": ["xl", "list"], "limit": 5.0}


def test_releases_are_one_table() -> None:
    """Every row has packages and a SONAME of its own version; an unknown one is named with the known."""
    for name, release in RELEASES.items():
        assert name.startswith(release.xen)
        assert release.soname == f"libxenctrl.so.{release.xen}"
        assert f"xen-utils-{release.xen}" in release.packages
        assert release.hypervisor in release.packages
    with pytest.raises(LabError, match="4.17"):
        find_release("3.4")


def test_rows_of_one_suite_share_its_image() -> None:
    """They differ in how they boot, never in what is in the image."""
    pv, pvh = find_release("4.17"), find_release("4.17-pvh")
    assert (pv.suite, pv.packages, pv.python) == (pvh.suite, pvh.packages, pvh.python)
    assert (pv.is_pvh, pvh.is_pvh) == (False, True)


def test_old_pythons_need_more() -> None:
    """What pip would leave out, because its own Python is newer, is asked for by name."""
    assert {"tomli", "exceptiongroup"} < set(wheels.requirements(find_release("4.14")))
    assert wheels.requirements(find_release("4.17")) == ["pytest", "cffi", "click", "rich"]


def test_one_processor_and_no_kvm() -> None:
    """The settings that keep guests from being lost are on the command line."""
    argv = Machine(("qemu", "-L"), Path("x"), Path("k"), Path("i")).command()
    assert argv[argv.index("-smp") + 1] == "1"
    assert argv[argv.index("-accel") + 1].startswith("tcg")
    assert "+svm,+npt,+rdrand" in argv[argv.index("-cpu") + 1]
    assert "dom0_max_vcpus=1" in argv[argv.index("-append") + 1]


def test_a_pvh_dom0_gets_an_iommu() -> None:
    """Xen makes no PVH dom0 without one, and its channels must not go past it."""
    pv, pvh = (Machine(("qemu", "-L"), Path("x"), Path("k"), Path("i"), is_pvh=is_pvh) for is_pvh in (False, True))
    assert "dom0=pvh" in pvh.command()[pvh.command().index("-append") + 1].split()
    assert {"q35", "amd-iommu"} <= set(pvh.command())
    assert "iommu_platform=on" in pvh.serial_device and "iommu_platform" not in pv.serial_device
    assert not {"q35", "amd-iommu"} & set(pv.command())


def test_a_processor_with_avx_has_a_xen_that_switches_its_state_at_once() -> None:
    """QEMU's XSAVE does not look whether the state is another vcpu's."""
    plain, wide = (Machine(("qemu",), Path("x"), Path("k"), Path("i"), has_avx=has_avx) for has_avx in (False, True))
    xen, processor = wide.command().index("-append") + 1, wide.command().index("-cpu") + 1
    assert "spec-ctrl=eager-fpu" in wide.command()[xen].split()
    assert wide.command()[processor].startswith(plain.command()[processor]) and "+avx" in wide.command()[processor]
    assert "eager-fpu" not in plain.command()[xen] and "+avx" not in plain.command()[processor]


def test_a_row_has_a_linux_guest_unless_its_qemu_runs_none() -> None:
    """The suites say so by name then, and do not fail."""
    assert [name for name, release in RELEASES.items() if not release.has_linux_guest] == ["4.20-avx"]
