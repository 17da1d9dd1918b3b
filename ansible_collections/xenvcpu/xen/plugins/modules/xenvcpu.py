#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""The module xenvcpu: vcpus of a domain, as they are declared."""

from __future__ import annotations

DOCUMENTATION = r"""
module: xenvcpu
short_description: Start, stop and reset vcpus of a Xen guest
version_added: 0.1.0
description:
  - Starts the secondary vcpus of an HVM or PVH guest at any CPU state, and takes them away.
  - A vcpu that runs is never restarted unless O(state=reset) asks for it.
  - A change happens whole, or the domain is put back as it was; from dom0 the guest is paused for milliseconds.
author:
  - The xenvcpu authors (@xenvcpu)
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - xenvcpu.xen.host
options:
  domain:
    description:
      - The domain, by name, domid or UUID.
      - In a guest it is V(self).
    type: str
    required: true
  state:
    description:
      - V(started) starts those of O(vcpus) that are down; the others run on as they are.
      - V(stopped) takes those of O(vcpus) away that are up. From dom0 they are fresh then, and so are those that
        were down and initialised.
      - V(reset) stops those of O(vcpus) that run, and starts all of them anew. It always changes something. Every
        context is judged before anything is stopped; it needs dom0.
    type: str
    choices: [started, stopped, reset]
    default: started
  vcpus:
    description:
      - Which vcpus, as V(2), V(1-3) or a list of these.
      - V(all) is every vcpu but the boot vcpu.
      - Without it they are those that O(context) or O(src) declares, or V(all).
    type: list
    elements: str
  context:
    description:
      - The state that they start with, as a table or as the text of a context file in TOML or JSON. To have a file of
        the controller, use the lookup P(ansible.builtin.file#lookup).
      - The keys are those of a context file; an expression may use C(vcpuid).
      - A declaration, which has a context file under its key C(context), is taken too. Its C(reset) is not looked at;
        O(state) says it.
    type: raw
  src:
    description:
      - A context file, or a declaration, on the target.
      - The C(reset) of a declaration is not looked at; O(state) says it.
    type: path
  settings:
    description: Keys of the context given anew, under the same checks.
    type: dict
  wait:
    description: Whether to wait for another program that drives the domain; if not, the module fails at once.
    type: bool
    default: true
  ignore_rules:
    description:
      - Names of rules, or V(all), that refuse nothing; Xen judges then. The page xenvcpu-rules(7) lists them.
      - A rule that protects the host is never ignored.
    type: list
    elements: str
    default: []
  allow_device_access_loss:
    description: Start them even if that cuts off an access to an emulated device.
    type: bool
    default: false
  allow_unbuilt:
    description: Start them even if the domain has no boot vcpu yet.
    type: bool
    default: false
  allow_last:
    description: Stop them even if no vcpu is left running.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details: Every context is judged as in a start. No vcpu that runs is stopped to look at it.
  diff_mode:
    support: full
  platform:
    platforms: linux
seealso:
  - module: xenvcpu.xen.xenvcpu_info
"""

EXAMPLES = r"""
- name: Start the secondary vcpus of web
  xenvcpu.xen.xenvcpu:
    domain: web
    context:
      preset: flat32
      eip: 0x100000
      esp: 0x80000 + 0x1000 * vcpuid

- name: Start two of them from a context file of the controller, with another entry
  xenvcpu.xen.xenvcpu:
    domain: web
    vcpus: 1-2
    context: "{{ lookup('ansible.builtin.file', 'ap.toml') }}"
    settings:
      eip: "0x200000"

- name: Start what a file on the target declares, and start those anew that run
  xenvcpu.xen.xenvcpu:
    domain: web
    state: reset
    src: /etc/xenvcpu/web.toml

- name: Take vcpu 3 away
  xenvcpu.xen.xenvcpu:
    domain: web
    state: stopped
    vcpus: 3

- name: Try it on a model of Xen, on any machine
  xenvcpu.xen.xenvcpu:
    host: model:/tmp/demo.json
    domain: web
    context: {preset: flat32, eip: 0x100000, esp: 0x80000}
  delegate_to: localhost
"""

RETURN = r"""
domid:
  description: The domain; null in a guest.
  returned: success
  type: int
  sample: 7
name:
  description: Its name, if it has one.
  returned: success
  type: str
  sample: web
uuid:
  description: Its UUID; null in a guest.
  returned: success
  type: str
  sample: 6a3f1c1e-7d4b-4f6c-9d5e-1f0f7a3c2b10
vcpus:
  description: The vcpus that were asked for.
  returned: success
  type: list
  elements: int
  sample: [1, 2, 3]
offline:
  description: Those that the toolstack has offline; left so where C(vcpus) is left out, started where it names them.
  returned: success
  type: list
  elements: int
  sample: []
started:
  description: Those that were started, or would be in check mode.
  returned: success
  type: list
  elements: int
  sample: [2, 3]
stopped:
  description: Those that were stopped, or would be in check mode.
  returned: success
  type: list
  elements: int
  sample: []
pause_seconds:
  description: How long the domain was held paused; null if it was not.
  returned: success
  type: float
  sample: 0.0031
paused:
  description: Whether somebody else holds the domain paused, so that nothing of it runs yet.
  returned: success
  type: bool
  sample: false
error:
  description:
    - What failed, with whatever is known of it.
    - C(type) is the name of an exception of xenvcpu, such as C(RefusedContextError); C(field), C(value), C(rule) and
      C(remedy) are of a context; C(errno) and C(console), the lines of Xen's console, are of a refusal by Xen;
      C(restored), C(left) and C(kept) say how a change that failed has left the domain.
  returned: failure
  type: dict
  sample:
    type: NoSuchDomainError
    message: there is no domain 'web'
"""

import dataclasses
import traceback

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.xenvcpu.xen.plugins.module_utils import host as target

try:
    from xenvcpu.allowances import Allowances
    from xenvcpu.newvcpu import in_words
    from xenvcpu.toolstacks import applying, declaration
    from xenvcpu.vcpuset import ALL
except ImportError:
    IMPORT_ERROR = traceback.format_exc()
else:
    IMPORT_ERROR = None

ALLOW = ("allow_device_access_loss", "allow_unbuilt", "allow_last")
STARTED = "started"
STOPPED = "stopped"
RESET = "reset"
ARGUMENTS = {
    **target.ARGUMENTS,
    "domain": {"type": "str", "required": True},
    "state": {"type": "str", "choices": [STARTED, STOPPED, RESET], "default": STARTED},
    "vcpus": {"type": "list", "elements": "str"},
    "context": {"type": "raw"},
    "src": {"type": "path"},
    "settings": {"type": "dict"},
    "wait": {"type": "bool", "default": True},
    "ignore_rules": {"type": "list", "elements": "str", "default": []},
    **dict.fromkeys(ALLOW, {"type": "bool", "default": False}),
}
NEEDS_CONTEXT = [("state", state, ("context", "src"), True) for state in (STARTED, RESET)]


def declared(params):
    """What the options declare."""
    if params["src"] is not None:
        found = declaration.read(params["src"])
    elif isinstance(params["context"], dict):
        found = declaration.from_mapping(params["context"], "context")
    else:
        found = declaration.parse(str(params["context"]), "context")
    given = declaration.from_mapping({"context": found.context, "settings": params["settings"] or {}}, found.name)
    found = declaration.override(found, asked(params), given.settings)
    return dataclasses.replace(found, reset=params["state"] == RESET)


def asked(params):
    """The vcpus that the options name, as xenvcpu writes them; None if they name none."""
    return None if params["vcpus"] is None else ",".join(params["vcpus"])


def allowed(params):
    """What may be done although it would be refused."""
    names = (name[len("allow_"):].replace("_", "-") for name in ALLOW if params[name])
    return Allowances.of(*names, ignore_rules=params["ignore_rules"])


def before(domain, change):
    """Each vcpu that was asked for, as it is."""
    return {
        state.vcpuid: "up" if state.is_online else "down, initialised" if state.is_initialised else "down"
        for state in domain.vcpus(registers=False) if state.vcpuid in change.vcpuids
    }


def lines(states):
    """Vcpus as the text of a diff."""
    return "".join(f"vcpu {vcpuid}: {state}\n" for vcpuid, state in states.items())


def change(module, domain):
    """Make the domain as it was asked for, or in check mode look what that would change.

    Returns:
        What is changed, and the diff.
    """
    params, is_stop = module.params, module.params["state"] == STOPPED
    allow = allowed(params)
    wanted = None if is_stop else declared(params)
    foreseen = applying.foresee_stop(domain, asked(params) or ALL) if is_stop else applying.foresee(domain, wanted)
    was = before(domain, foreseen)
    will = {vcpuid: "down" for vcpuid in foreseen.stop}
    if not is_stop:
        starts = {vcpuid: in_words(wanted.template.render(vcpuid), domain.release) for vcpuid in foreseen.start}
        will = {vcpuid: f"up, {start}" for vcpuid, start in starts.items()}
        target.warn(module, applying.judge(domain, wanted, foreseen, allow=allow))
    diff = {"before": lines(was), "after": lines({**was, **will})}
    if module.check_mode:
        return foreseen, diff
    if is_stop:
        return applying.stop(domain, foreseen, allow=allow), diff
    return applying.carry_out(domain, wanted, foreseen, allow=allow), diff


def main():
    """Run the module."""
    module = AnsibleModule(
        ARGUMENTS, supports_check_mode=True, required_if=NEEDS_CONTEXT, mutually_exclusive=[("context", "src")],
    )
    target.require(module, IMPORT_ERROR)
    if module.params["vcpus"] == []:
        module.fail_json(msg="vcpus: an empty list names no vcpu; left out, it is all that are declared")
    with target.opened(module, waits=module.params["wait"]) as host:
        domain = host.domain(module.params["domain"])
        done, diff = change(module, domain)
        report = done.report
        is_paused = report.is_paused if report else getattr(getattr(domain, "info", None), "is_paused", False)
        result = {
            **done.as_dict(), "uuid": domain.uuid, "diff": diff, "paused": is_paused,
            "pause_seconds": report.pause_seconds if report else None,
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
