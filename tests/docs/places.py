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
    "xenvcpu xapi remove": "--folder {folder}/root/etc/xapi.d/plugins",
    "xenvcpu libvirt install-hook": "--folder {folder}/root/etc/libvirt/hooks/libxl.d",
    "xenvcpu libvirt remove-hook": "--folder {folder}/root/etc/libvirt/hooks/libxl.d",
    "xenvcpu libvirt install-service": "--folder {folder}/root/etc/systemd/system",
    "xenvcpu libvirt remove-service": "--folder {folder}/root/etc/systemd/system",
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
    Elsewhere("pip install .", "tox.ini::package = wheel"),
    Elsewhere("apt-get build-dep . && make deb && apt-get install", "packaging/deb.sh::dpkg-buildpackage"),
    Elsewhere("make demo", "Makefile::examples/demo.sh"),
    Elsewhere("make test", ".ci/run::make test"),
    Elsewhere(
        "xenvcpu libvirt watch", "tests/toolstacks/test_libvirt_watch.py::test_a_signal_ends_the_service_cleanly"
    ),
)
"""What takes another machine, or all of one, and what runs it there."""

NO_HOST = ("check", "preset", "encode", "decode", "import", "model new", "model show", "model worlds", "completion")
"""The commands that need no host, real or not."""

_COMMAND = "integration/test_command.py::test_start_list_show_stop"
_TOOLSTACKS = "integration/toolstacks"
_GUEST = "integration/test_linux_guest.py::test_start_self_runs_a_vcpu_and_stop_self_takes_it_down"

ON_XEN: Mapping[str, str] = {
    "list": _COMMAND, "show": _COMMAND, "start": _COMMAND, "stop": _COMMAND,
    "doctor": "integration/test_command.py::test_doctor_finds_dom0_complete",
    "start self": _GUEST, "up": _GUEST,
    "recover": "integration/test_command.py::test_recover_brings_back_what_a_change_has_lost",
    "metrics": f"{_TOOLSTACKS}/test_metrics.py::test_they_tell_what_xl_tells",
    "xl create": f"{_TOOLSTACKS}/test_xl.py::test_nothing_of_a_domain_runs_before_its_vcpus_are_in_place",
    **dict.fromkeys(
        ("xapi install", "xapi remove"), f"{_TOOLSTACKS}/test_xapi.py::test_a_vms_vcpus_are_started_listed_and_stopped",
    ),
    **dict.fromkeys(
        ("libvirt set", "libvirt get", "libvirt remove"),
        f"{_TOOLSTACKS}/test_libvirt.py::test_a_declaration_stands_in_the_domain_until_it_is_removed",
    ),
    "libvirt start": f"{_TOOLSTACKS}/test_libvirt.py::test_nothing_of_a_domain_runs_before_its_vcpus_are_in_place",
    "libvirt watch": f"{_TOOLSTACKS}/test_libvirt.py::test_the_watcher_starts_the_declared_vcpus_of_what_starts_later",
    **dict.fromkeys(
        ("libvirt install-hook", "libvirt remove-hook"),
        f"{_TOOLSTACKS}/test_libvirt.py::test_virsh_start_brings_the_declared_vcpus_by_the_hook",
    ),
    "ansible-playbook": f"{_TOOLSTACKS}/test_ansible.py::"
                        "test_a_task_starts_the_vcpus_that_it_names",
}
"""The commands that are documented, and run here on the model and on stand-ins: which suite of the lab runs each on a
real Xen. `start self` is `start` inside a guest."""

NOT_YET_ON_XEN = ("libvirt install-service", "libvirt remove-service")
"""Those that no suite of the lab runs on a real Xen. Whoever writes one moves its commands up."""
