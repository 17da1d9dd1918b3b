# SPDX-License-Identifier: MIT
"""The demo on a real Xen."""

import pytest

from integration import demo


def test_the_demo_does_what_it_says(capfd: pytest.CaptureFixture[str]) -> None:
    """Every step ends as it should, and the boot vcpu of the guest notices nothing."""
    assert demo.main() == 0
    shown = capfd.readouterr().out
    assert "vcpu 3 of web: started" in shown and "Xen said: (XEN) HVM" in shown and ", 0 changes" in shown
