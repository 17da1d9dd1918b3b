# SPDX-License-Identifier: MIT
"""What `import xenvcpu` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import xenvcpu
from xenvcpu import api


def test_the_package_offers_what_its_interface_does() -> None:
    assert sorted(api.__all__) == sorted(xenvcpu.__all__)


@pytest.mark.parametrize("name", xenvcpu.__all__)
def test_each_name_is_found_on_the_package(name: str) -> None:
    assert getattr(api, name) is getattr(xenvcpu, name)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = xenvcpu.no_such_name


def test_a_submodule_is_imported_without_the_whole_interface() -> None:
    code = "from xenvcpu import draft; import sys; sys.exit('xenvcpu.api' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode
