# SPDX-License-Identifier: MIT
"""The vcpu_op hypercall, as a guest makes it on its own vcpus.

Source: do_vcpu_op, common_vcpu_op (common/domain.c), arch_initialise_vcpu (arch/x86/domain.c)
and arch_set_info_hvm_guest, Xen 4.7, 4.11 and 4.17.
"""

from __future__ import annotations

import enum
import errno
from typing import Callable, Mapping, NamedTuple, Protocol

from xenvcpu.abi import vcpu_hvm_context, vcpu_info
from xenvcpu.abi.layout import Image, Layout, sequence
from xenvcpu.model import judge, paging
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Domain, Shutdown
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.running import settle
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.rules import effect
from xenvcpu.rules.release import Release, Since
from xenvcpu.rules.rule import hex_c

HYPERCALL = 24


class Op(enum.IntEnum):
    """The commands, named as in Xen behind `VCPUOP_` (public/vcpu.h)."""

    initialise = 0
    up = 1
    down = 2
    is_up = 3
    get_runstate_info = 4
    register_runstate_memory_area = 5
    set_periodic_timer = 6
    stop_periodic_timer = 7
    set_singleshot_timer = 8
    stop_singleshot_timer = 9
    register_vcpu_info = 10
    send_nmi = 11
    get_physid = 12
    register_vcpu_time_memory_area = 13
    register_runstate_phys_area = 14
    register_vcpu_time_phys_area = 15


class Argument(Protocol):
    """The guest memory that a hypercall's pointer points to."""

    @property
    def is_null(self) -> bool:
        """Whether the pointer is NULL."""

    def read(self, size: int) -> bytes:
        """Copy from the guest. Raises `Refused(EFAULT)`."""

    def write(self, data: bytes) -> None:
        """Copy to the guest. Raises `Refused(EFAULT)`."""


class Call(NamedTuple):
    """One hypercall: the host, the calling vcpu, the vcpu it is about, and its pointer."""

    host: Hypervisor
    domain: Domain
    caller: int
    vcpu: Vcpu
    argument: Argument


_POWERS_OFF = Since("4.11")
_PHYS_AREAS = Since("4.18")
_CHECKS_ALIGNMENT = Since("4.9.5", "4.10.5", "4.11.5", "4.12.4", "4.13.2", "4.14")
_SAYS_ENXIO = Since("4.16")
_SAYS_EBUSY = Since("4.18")
_ONLY_HARDWARE_DOMAIN = Since("4.13")
_REGISTER_LAYOUT = Layout("vcpu_register_vcpu_info", 16, [*sequence("mfn", 8), *sequence("offset rsvd", 4, 8)])
_VCPU_INFO_SIZE, _PAGE, _ALIGN = 64, 4096, 8
_MILLISECOND = 1_000_000
_OF_SEGMENT = ("_sel", "_base", "_limit", "_arbytes")


def _initialise(call: Call) -> int:
    host, domain, vcpu = call.host, call.domain, call.vcpu
    for finding in judge.refusals_before_reading(host, domain, vcpu):
        raise Refused.by_name(finding.errno or "EINVAL")
    context = vcpu_hvm_context.decode(call.argument.read(vcpu_hvm_context.SIZE))
    if vcpu.is_initialised:
        raise Refused(errno.EEXIST)
    refusals = judge.refusals_of_initialise(host, domain, vcpu, context)
    for finding in refusals:
        if finding.console is not None:
            host.console.print(f"d{domain.domid}v{call.caller} {finding.console}")
    if refusals:
        if refusals[0].rule in judge.AFTER_STORE:
            _store(vcpu, context, host.release)
        raise Refused.by_name(refusals[0].errno or "EINVAL")
    state = effect.after_initialise(context, host.release, vcpu.image)
    if paging.is_cr3_refused(domain, state):
        _store(vcpu, context, host.release)
        host.console.print(f"d{domain.domid}v{call.caller} Invalid CR3: {hex_c(state['cr3'])}")
        raise Refused(errno.EINVAL)
    if paging.crashes(host, domain, state):
        host.crash(domain, call.caller)
    vcpu.image = state
    vcpu.tsc_offset = domain.vcpus[0].tsc_offset
    vcpu.is_initialised = vcpu.is_down = True
    return 0


def _store(vcpu: Vcpu, context: Image, release: Release) -> None:
    """What is already in the vcpu when CR4 or EFER turn out to be bad: all registers but the segments."""
    before = vcpu.image
    after = effect.after_initialise(context, release, before)
    segments = {name: value for name, value in before.values.items() if name.endswith(_OF_SEGMENT)}
    vcpu.image = after.with_values(**segments)


def _up(call: Call) -> int:
    if not call.vcpu.is_initialised:
        raise Refused(errno.EINVAL)
    call.vcpu.is_down = False
    return 0


def _down(call: Call) -> int:
    if call.host.release in _POWERS_OFF and not any(vcpu is not call.vcpu for vcpu in call.domain.online):
        call.domain.shut_down(Shutdown.poweroff)
    else:
        call.vcpu.is_down = True
    return 0


def _is_up(call: Call) -> int:
    return int(not call.vcpu.is_down)


def _runstate(call: Call) -> int:
    vcpu = call.vcpu
    # A vcpu of the model sleeps as soon as it has run. One that is put down asleep stays blocked for Xen, since
    # vcpu_sleep_nosync makes only runnable ones offline.
    is_offline = vcpu.is_down and not vcpu.has_entered
    state = vcpu_info.Runstate.offline if is_offline else vcpu_info.Runstate.blocked
    if vcpu.vcpuid == call.caller:
        state = vcpu_info.Runstate.running
    times = {"time[0]": vcpu.cpu_time, f"time[{state.value}]": call.host.clock.nanoseconds}
    call.argument.write(vcpu_info.RUNSTATE_LAYOUT.image({"state": state, **times}).pack())
    return 0


def _register_vcpu_info(call: Call) -> int:
    release, vcpu = call.host.release, call.vcpu
    given = _REGISTER_LAYOUT.unpack(call.argument.read(_REGISTER_LAYOUT.size))
    is_late = release in _SAYS_EBUSY
    is_crossing = given["offset"] > _PAGE - _VCPU_INFO_SIZE
    is_misaligned = bool(given["offset"] % _ALIGN) and release in _CHECKS_ALIGNMENT
    if is_late and given["offset"] >= _PAGE:
        raise Refused(errno.EINVAL)
    if is_crossing or is_misaligned:
        raise Refused(errno.ENXIO if release in _SAYS_ENXIO else errno.EINVAL)
    if vcpu.is_vcpu_info_registered:
        raise Refused(errno.EBUSY if is_late else errno.EINVAL)
    if not is_late and vcpu.vcpuid != call.caller and not vcpu.is_down:
        raise Refused(errno.EINVAL)
    if not call.domain.memory.has(given["mfn"]):
        raise Refused(errno.EINVAL)
    vcpu.has_vcpu_info = vcpu.is_vcpu_info_registered = True
    return 0


def _send_nmi(call: Call) -> int:
    if not call.argument.is_null:
        raise Refused(errno.EINVAL)
    return 0


def _get_physid(call: Call) -> int:
    if call.host.release in _ONLY_HARDWARE_DOMAIN and call.domain.domid:
        raise Refused(errno.EINVAL)
    call.argument.write(call.vcpu.vcpuid.to_bytes(8, "little"))
    return 0


def _set_periodic_timer(call: Call) -> int:
    period = int.from_bytes(call.argument.read(8), "little")
    if not _MILLISECOND <= period < 1 << 56:
        raise Refused(errno.EINVAL)
    return 0


def _singleshot(call: Call) -> int:
    if call.vcpu.vcpuid != call.caller:
        raise Refused(errno.EINVAL)
    return 0


def _set_singleshot_timer(call: Call) -> int:
    _singleshot(call)
    call.argument.read(16)
    return 0


def _read_address(call: Call) -> int:
    call.argument.read(8)
    return 0


def _nothing(call: Call) -> int:
    return 0


_OPS: Mapping[Op, Callable[[Call], int]] = {
    Op.initialise: _initialise, Op.up: _up, Op.down: _down, Op.is_up: _is_up, Op.get_runstate_info: _runstate,
    Op.register_runstate_memory_area: _read_address, Op.set_periodic_timer: _set_periodic_timer,
    Op.stop_periodic_timer: _nothing, Op.set_singleshot_timer: _set_singleshot_timer,
    Op.stop_singleshot_timer: _singleshot, Op.register_vcpu_info: _register_vcpu_info, Op.send_nmi: _send_nmi,
    Op.get_physid: _get_physid, Op.register_vcpu_time_memory_area: _read_address,
    Op.register_runstate_phys_area: _read_address, Op.register_vcpu_time_phys_area: _read_address,
}
_NEWER: Mapping[Op, Since] = {
    Op.register_runstate_phys_area: _PHYS_AREAS, Op.register_vcpu_time_phys_area: _PHYS_AREAS,
}
_PURE = frozenset((Op.is_up, Op.get_runstate_info, Op.get_physid))


def vcpu_op(host: Hypervisor, domain: Domain, op: int, vcpuid: int, argument: Argument, caller: int = 0) -> int:
    """Make the hypercall.

    Args:
        host: The host.
        domain: The calling domain: the vcpu is always its own.
        op: The command.
        vcpuid: Which vcpu of it.
        argument: What the pointer points to.
        caller: The vcpu that makes the call; Xen's console lines name it.

    Returns:
        Zero, or a positive result (`VCPUOP_is_up`).

    Raises:
        Refused: ENOENT before ENOSYS; then what the command answers.
    """
    known = Op(op) if op in _KNOWN and (op not in _NEWER or host.release in _NEWER[Op(op)]) else None
    host.begin(f"VCPUOP_{op if known is None else known.name}", changes=known not in _PURE)
    vcpu = domain.vcpu(vcpuid)
    if vcpu is None:
        raise Refused(errno.ENOENT)
    if known is None:
        raise Refused(errno.ENOSYS)
    try:
        return _OPS[known](Call(host, domain, caller, vcpu, argument))
    finally:
        if known not in _PURE:
            settle(host)


_KNOWN = frozenset(map(int, Op))
