# SPDX-License-Identifier: MIT
"""The doctor names what is missing and what brings it."""

import pytest

from integration.lab import aptsources, doctor
from integration.lab.errors import HostCannotError


@pytest.fixture(autouse=True)
def some_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(aptsources.MIRROR_VARIABLE, "http://mirror.invalid/debian")


def test_a_whole_machine_is_healthy() -> None:
    """With every program there, nothing is missing and nothing is demanded."""
    diagnosis = doctor.diagnose(lambda program: True)
    assert diagnosis.missing == ()
    doctor.demand(doctor.Diagnosis((), (), ()))


def test_missing_programs_have_packages() -> None:
    """Two programs of one package give one package in the command."""
    diagnosis = doctor.diagnose(lambda program: program not in ("as", "ld", "tar"))
    assert diagnosis.missing == ("program as", "program ld", "program tar")
    assert diagnosis.remedy == "apt-get install --no-install-recommends binutils tar"
    assert not diagnosis.healthy
    with pytest.raises(HostCannotError, match="to install: apt-get") as caught:
        doctor.demand(diagnosis)
    assert caught.value.remedy == diagnosis.remedy


def test_what_no_package_brings_is_no_remedy() -> None:
    """A machine of another kind is told so, without a command that would not help."""
    diagnosis = doctor.Diagnosis((), (), ("an x86_64 machine (this is sparc)",))
    with pytest.raises(HostCannotError, match="sparc") as caught:
        doctor.install(diagnosis, lambda line: None)
    assert caught.value.remedy == ""
