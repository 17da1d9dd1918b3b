# SPDX-License-Identifier: MIT
"""What both modules need of xenvcpu: a host, and its errors told as Ansible tells errors."""

from __future__ import annotations

import traceback
from contextlib import contextmanager

from ansible.module_utils.basic import missing_required_lib

try:
    from xenvcpu.deadline import Patience
    from xenvcpu.errors import XenVcpuError
    from xenvcpu.failuretext import as_dict, details
    from xenvcpu.host import open_host
    from xenvcpu.plaintext import plain
    from xenvcpu.vcpuset import show
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = None

ARGUMENTS = {
    "host": {"type": "str", "default": "auto"},
    "timeout": {"type": "float", "default": 30},
}
"""The options of the documentation fragment `host`."""

_LARGEST_TIMEOUT = 3600
_REMEDY = "install the wheel of xenvcpu for that Python, or set ansible_python_interpreter to one that has it"


def require(module, imported=None):
    """End the module where the target lacks xenvcpu, with what to do about it.

    Args:
        module: The module.
        imported: What the module's own import of xenvcpu ended with, if badly.
    """
    failure = IMPORT_ERROR or imported
    if failure is not None:
        module.fail_json(msg=f"{missing_required_lib('xenvcpu')}. Remedy: {_REMEDY}.", exception=failure)


@contextmanager
def opened(module, waits=True):
    """The host that the options name; whatever xenvcpu refuses ends the module, by type and in words.

    Args:
        module: The module, whose options are those of `ARGUMENTS` among others.
        waits: Whether to wait for another program that drives the domain.
    """
    timeout = module.params["timeout"]
    if not 0 < timeout <= _LARGEST_TIMEOUT:
        module.fail_json(msg=f"timeout: {timeout:g} is not between 0 and {_LARGEST_TIMEOUT} seconds")
    try:
        with open_host(module.params["host"], Patience(timeout, waits)) as host:
            yield host
    except XenVcpuError as error:
        told = [str(error), *details(error)]
        module.fail_json(msg=plain("; ".join(told)), error=as_dict(error))


def warn(module, findings):
    """Warn of what rules found in contexts, once for all vcpus that it is true of.

    Args:
        module: The module.
        findings: Pairs of a vcpuid and a finding.
    """
    about = {}
    for vcpuid, finding in findings:
        about.setdefault(f"{finding.rule}: {finding.message}", []).append(vcpuid)
    for text, vcpuids in about.items():
        module.warn(plain(f"vcpus {show(vcpuids)}: {text}"))
