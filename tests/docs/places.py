# SPDX-License-Identifier: MIT
"""Where each document's commands run, and those that run elsewhere."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Tuple

DOM0, GUEST, NONE = "model:{folder}/world.json", "model:{folder}/world.json@web", ""
"""What XENVCPU_HOST is: a host with a PVH guest `web` of 4 vcpus, or that guest, instead of a real one."""

HOSTS: Mapping[str, str] = {
    "README.md": NONE, "docs/tutorial.md": NONE, "docs/howto/pytest.md": NONE, "docs/howto/guest.md": GUEST,
    "docs/howto/ansible.md": NONE,
    "ansible_collections/xenvcpu/xen/README.md": NONE,
    "up": GUEST, "model new": NONE,
}
"""By document, or by the command whose `--help` has the examples; DOM0 for all others."""

ADDED: Mapping[str, str] = {
    "ansible-galaxy collection install": "--force -p {folder}/root",
    "xenvcpu xapi install": "--folder {folder}/root/etc/xapi.d/plugins",
    "xenvcpu libvirt install-hook": "--folder {folder}/root/etc/libvirt/hooks/libxl.d",
    "xenvcpu libvirt install-service": "--folder {folder}/root/etc/systemd/system",
}
"""What a command gets beyond what is documented, since it would write to this machine's own folders otherwise."""

MOVED: Tuple[str, ...] = ("/var/lib/node_exporter", "/etc/xen")
"""Folders that a command is given below `{folder}/root`."""


class Elsewhere(NamedTuple):
    """Commands that are not run here.

    Attributes:
        begins: How they begin.
        shown_by: What runs them: a test, `FILE::NAME`, or another file and what must stand in it.
    """

    begins: str
    shown_by: str


ELSEWHERE: Tuple[Elsewhere, ...] = (
    Elsewhere("pip install '.[cli]'", "tests/everything.py::pythons"),
    Elsewhere("apt-get build-dep . && make deb && apt-get install", "packaging/deb.sh::dpkg-buildpackage"),
    Elsewhere("make demo", "Makefile::examples/demo.sh"),
    Elsewhere("make test", ".ci/run::make test"),
    Elsewhere(
        "xenvcpu libvirt watch", "tests/toolstacks/test_libvirt_watch.py::test_a_signal_ends_the_service_cleanly"
    ),
)
"""What takes another machine, or all of one, and what runs it there."""
