#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""The module xenvcpu_info: domains and their vcpus, as they are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xenvcpu_info
short_description: Show the vcpus of Xen guests
version_added: 0.1.0
description:
  - Tells of domains which vcpus they have, and which of these are up. Nothing is changed.
author:
  - The xenvcpu authors (@xenvcpu)
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - xenvcpu.xen.host
options:
  domains:
    description:
      - Domains by name, domid or UUID, each of which must exist.
      - Without it, all but dom0; in a guest, its own.
    type: list
    elements: str
    default: []
  registers:
    description:
      - Whether to tell the mode and the instruction pointer of vcpus that are up.
      - Xen stops a domain for a moment to read them; without them no vcpu that runs is stopped.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details: Nothing is changed in any mode.
  diff_mode:
    support: none
    details: There is nothing to differ.
  platform:
    platforms: linux
seealso:
  - module: xenvcpu.xen.xenvcpu
"""

EXAMPLES = r"""
- name: Look at every domain
  xenvcpu.xen.xenvcpu_info:
  register: found

- name: Show which vcpus of web are down
  ansible.builtin.debug:
    msg: >-
      {{ found.domains | selectattr('name', 'eq', 'web') | map(attribute='vcpus') | flatten
         | rejectattr('online') | map(attribute='vcpuid') }}

- name: Fail unless vcpu 1 of web runs 64-bit code
  xenvcpu.xen.xenvcpu_info:
    domains: [web]
    registers: true
  register: web
  failed_when: web.domains[0].vcpus[1].mode != 'long64'
"""

RETURN = r"""
xen:
  description: The release of Xen that runs.
  returned: success
  type: str
  sample: "4.17"
kind:
  description: What the target is.
  returned: success
  type: str
  sample: dom0
domains:
  description: The domains, in the order asked for, or of their domids.
  returned: success
  type: list
  elements: dict
  contains:
    domid:
      description: Its number; null in a guest.
      type: int
    name:
      description: Its name, if it has one.
      type: str
    uuid:
      description: Its UUID; null in a guest.
      type: str
    paused:
      description: Whether a toolstack holds it paused.
      type: bool
    vcpus:
      description: Its vcpus, in order.
      type: list
      elements: dict
      contains:
        vcpuid:
          description: Its number.
          type: int
        online:
          description: Whether it is up.
          type: bool
        initialised:
          description: Whether it has a first state; null where that cannot be known.
          type: bool
        state:
          description: V(running), V(runnable), V(blocked) or V(offline).
          type: str
        mode:
          description: The mode that it runs in; null without O(registers), and for one that is down.
          type: str
        rip:
          description: Its instruction pointer in hex; null as RV(domains[].vcpus[].mode) is.
          type: str
        cpu:
          description: The physical cpu that it ran on last.
          type: int
        cpu_time:
          description: How long it has run, in nanoseconds.
          type: int
  sample:
    - domid: 7
      name: web
      uuid: 6a3f1c1e-7d4b-4f6c-9d5e-1f0f7a3c2b10
      paused: false
      vcpus:
        - {vcpuid: 0, online: true, initialised: true, state: blocked, mode: null, rip: null, cpu: 2, cpu_time: 81}
error:
  description: What failed, as of M(xenvcpu.xen.xenvcpu).
  returned: failure
  type: dict
"""

import traceback

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.xenvcpu.xen.plugins.module_utils import host as target

try:
    from xenvcpu.errors import NoSuchDomainError
    from xenvcpu.host import SELF
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = None

ARGUMENTS = {
    **target.ARGUMENTS,
    "domains": {"type": "list", "elements": "str", "default": []},
    "registers": {"type": "bool", "default": False},
}


def shown(domain, registers):
    """A domain as the module returns it."""
    info = getattr(domain, "info", None)  # inside a guest nobody can tell
    vcpus = [state.as_dict() for state in domain.vcpus(registers=registers)]
    return {
        "domid": domain.domid, "name": domain.name, "uuid": domain.uuid,
        "paused": info is not None and bool(info.is_paused), "vcpus": vcpus,
    }


def domains(host, names, registers):
    """The domains that are asked for; one that goes away while all are looked at is left out."""
    if names or host.is_inside:
        return [shown(host.domain(name), registers) for name in names or [SELF]]
    found = []
    for domain in host.domains():
        try:
            found.append(shown(domain, registers))
        except NoSuchDomainError:
            continue
    return found


def main():
    """Run the module."""
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    target.require(module, IMPORT_ERROR)
    with target.opened(module) as host:
        release = host.guest.read_release() if host.is_inside else host.dom0.release
        found = domains(host, module.params["domains"], module.params["registers"])
        result = {"xen": str(release), "kind": host.kind, "domains": found}
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
