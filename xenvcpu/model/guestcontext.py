# SPDX-License-Identifier: MIT
"""`vcpu_guest_context` of an HVM vcpu: what setting it does, and what getting it tells.

Source: arch_set_info_guest (arch/x86/domain.c), arch_get_info_guest (arch/x86/domctl.c),
Xen 4.12, 4.17, 4.21 and 4.22.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import replace
from typing import Mapping

from xenvcpu.abi import cpu_record, guest_context
from xenvcpu.abi.guest_context import VGCF
from xenvcpu.abi.layout import Image
from xenvcpu.abi.save_stream import Typecode
from xenvcpu.model.answer import Refused
from xenvcpu.model.domain import Domain
from xenvcpu.model.hypervisor import Hypervisor
from xenvcpu.model.vcpu import Vcpu
from xenvcpu.rules import effect
from xenvcpu.rules.release import Release, Since

_CHECKS_DEBUG = Since("4.18")
_TAKES_VM_ASSIST = Since("4.12.3", "4.13.1", "4.14")
_VM_ASSIST_VALID = 1 << 5
"""VMASST_TYPE_runstate_update_flag: the only one that an HVM domain has."""
_CLOBBERS_TSC_ADJUST = Since("4.21")
_KEEPS_R8_AGAIN = Since("4.21.2", "4.22")

_REGISTERS: Mapping[str, str] = {
    **{f"user_regs.{name}": name for name in guest_context.GENERAL},
    **{f"user_regs.{name}": name for name in ("rip", "rflags", "rsp")},
    **{f"debugreg[{n}]": f"dr{n}" for n in (0, 1, 2, 3, 6, 7)},
}
_SHOWN: Mapping[str, str] = {
    **_REGISTERS,
    **{f"user_regs.{name}": f"{name}_sel" for name in ("cs", *guest_context.SELECTORS)},
    **{f"ctrlreg[{n}]": f"cr{n}" for n in (0, 2, 3, 4)},
    "fs_base": "fs_base", "gs_base_kernel": "gs_base", "gs_base_user": "shadow_gs",
}


def _loses_r8(release: Release) -> bool:
    return release in _CLOBBERS_TSC_ADJUST and release not in _KEEPS_R8_AGAIN


def _without_lost(values: dict[str, int], release: Release) -> dict[str, int]:
    """4.21.0 and 4.21.1 lose r8 to r15 both ways."""
    if _loses_r8(release):
        values.update({name: 0 for name in values if name.rpartition(".")[2] in _R8_TO_R15})
    return values


_R8_TO_R15 = frozenset(f"r{n}" for n in range(8, 16))


def set_context(host: Hypervisor, domain: Domain, vcpu: Vcpu, context: Image) -> None:
    """Set general and debug registers, FPU and up or down; the vcpu's `is_initialised` stays.

    Raises:
        Refused: EINVAL for debug registers above 32 bits (4.18), or unknown VM assists on vcpu 0.
    """
    release = host.release
    if release in _CHECKS_DEBUG and (context["debugreg[6]"] >> 32 or context["debugreg[7]"] >> 32):
        raise Refused(errno.EINVAL)
    is_assisted = not vcpu.vcpuid and release in _TAKES_VM_ASSIST
    if is_assisted and context["vm_assist"] & ~_VM_ASSIST_VALID:
        raise Refused(errno.EINVAL)
    if is_assisted:
        domain.vm_assist = context["vm_assist"]
    values = {name: context[field] for field, name in _REGISTERS.items()}
    values["rflags"] = effect.loaded_rflags(values["rflags"], release)
    image = vcpu.image.with_values(**_without_lost(values, release))
    if context["flags"] & VGCF.i387_valid:
        image = replace(image, rest=context.rest[: guest_context.FPU_SIZE])
        vcpu.image = image.with_values(flags=cpu_record.FPU_INITIALISED)
    else:
        vcpu.image = image.with_values(flags=0)
    vcpu.is_down = not context["flags"] & VGCF.online
    if release in _CLOBBERS_TSC_ADJUST:
        _clobber_tsc_adjust(vcpu, context)


def _clobber_tsc_adjust(vcpu: Vcpu, context: Image) -> None:
    """ES, FS and GS overwrite the low 48 bits of TSC_ADJUST, which shares their memory."""
    payload = vcpu.records.get(Typecode.TSC_ADJUST)
    if payload is not None:
        selectors = struct.pack("<HHH", *(context[f"user_regs.{name}"] for name in ("es", "fs", "gs")))
        vcpu.records[Typecode.TSC_ADJUST] = selectors + payload[len(selectors) :]


def get_context(host: Hypervisor, vcpu: Vcpu) -> Image:
    """What XEN_DOMCTL_getvcpucontext tells of an initialised vcpu."""
    state = vcpu.image
    values = _without_lost({field: state[name] for field, name in _SHOWN.items()}, host.release)
    is_valid = bool(state["flags"] & cpu_record.FPU_INITIALISED)
    values["flags"] = (VGCF.i387_valid if is_valid else 0) | (0 if vcpu.is_down else VGCF.online)
    return guest_context.LAYOUT.image(values, state.rest)
