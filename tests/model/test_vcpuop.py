# SPDX-License-Identifier: MIT
"""The vcpu_op hypercall: who is asked first, and what each command answers."""

from __future__ import annotations

import pytest

from tests.model.machine import Machine, Memory, context, context_64, refused
from xenvcpu.abi import vcpu_info
from xenvcpu.model.build import FEATURES
from xenvcpu.model.domain import Shutdown
from xenvcpu.model.vcpuop import Op, vcpu_op
from xenvcpu.rules import effect

RELEASES = ("4.7", "4.10", "4.13", "4.17", "4.19", "4.22")


@pytest.fixture(params=RELEASES)
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine(request.param)


def test_an_unknown_vcpu_is_told_before_an_unknown_command(machine: Machine) -> None:
    with refused("ENOENT"):
        machine.op(99, 4)


def test_a_huge_vcpuid_is_just_unknown(machine: Machine) -> None:
    with refused("ENOENT"):
        machine.op(Op.is_up, 0xFFFFFFFF)


def test_an_unknown_command_on_a_known_vcpu_is_enosys(machine: Machine) -> None:
    with refused("ENOSYS"):
        machine.op(99, 0)


@pytest.mark.parametrize(("release", "answer"), [("4.17", "ENOSYS"), ("4.18", "EFAULT")])
def test_the_physical_areas_came_with_4_18(release: str, answer: str) -> None:
    with refused(answer):
        Machine(release).op(Op.register_runstate_phys_area, 0)


def test_initialise_leaves_the_vcpu_initialised_and_down(machine: Machine) -> None:
    assert machine.initialise(1, context()) == 0
    assert (machine.domain.vcpus[1].is_initialised, machine.domain.vcpus[1].is_down) == (True, True)


def test_initialise_leaves_the_state_that_the_rules_say(machine: Machine) -> None:
    machine.initialise(1, context())
    assert machine.domain.vcpus[1].image == effect.after_initialise(context(), machine.host.release)


def test_a_bad_pointer_is_told_before_that_the_vcpu_is_initialised(machine: Machine) -> None:
    with refused("EFAULT"):
        machine.op(Op.initialise, 0, b"short")


def test_an_initialised_vcpu_is_told_before_a_bad_context(machine: Machine) -> None:
    with refused("EEXIST"):
        machine.initialise(0, context().with_values(cs_ar=0))


def test_a_bad_context_is_einval_and_leaves_the_vcpu_as_it_was(machine: Machine) -> None:
    before = machine.domain.vcpus[1].state
    with refused("EINVAL"):
        machine.initialise(1, context().with_values(cs_ar=0xC93))
    assert (machine.domain.vcpus[1].state, machine.domain.vcpus[1].is_initialised) == (before, False)


def test_every_bad_segment_is_printed_with_the_calling_vcpu() -> None:
    machine = Machine()
    with refused("EINVAL"):
        machine.op(Op.initialise, 1, context().with_values(cs_ar=0xC93, tr_ar=0x83).pack(), caller=0)
    assert machine.host.console.lines == [
        "(XEN) d1v0 Non-code segment provided for CS", "(XEN) d1v0 Non-32-bit-TSS segment provided for TR",
    ]


def test_padding_is_refused_in_silence(machine: Machine) -> None:
    with refused("EINVAL"):
        machine.initialise(1, context().with_values(pad=1))
    assert machine.host.console.lines == []


@pytest.mark.parametrize("field", ["cr4", "efer"])
def test_a_bad_cr4_or_efer_is_found_when_the_registers_are_stored(field: str) -> None:
    machine = Machine()
    with refused("EINVAL"):
        machine.initialise(1, context_64(0x4000).with_values(**{field: 1 << 63 | 0x520}))
    left = machine.domain.vcpus[1].image
    assert (left["rip"], left["cs_arbytes"]) == (0x4000, effect.FRESH["cs_arbytes"])
    machine.initialise(1, context())


def test_up_wants_an_initialised_vcpu(machine: Machine) -> None:
    with refused("EINVAL"):
        machine.op(Op.up, 1)


def test_up_makes_an_initialised_vcpu_run(machine: Machine) -> None:
    machine.initialise(1, context())
    assert machine.op(Op.up, 1) == 0
    assert (machine.op(Op.is_up, 1), machine.domain.vcpus[1].runs) == (1, 1)


def test_up_of_a_vcpu_that_is_up_is_fine(machine: Machine) -> None:
    assert machine.op(Op.up, 0) == 0


def test_a_vcpu_that_goes_down_and_up_goes_on_where_it_was(machine: Machine) -> None:
    machine.initialise(1, context())
    machine.op(Op.up, 1)
    before = machine.domain.vcpus[1].state
    machine.op(Op.down, 1)
    machine.op(Op.up, 1)
    assert machine.domain.vcpus[1].state == before


def test_is_up_is_0_for_a_vcpu_that_is_down(machine: Machine) -> None:
    assert machine.op(Op.is_up, 1) == 0


def test_the_last_vcpu_that_goes_down_powers_the_domain_off_from_4_11() -> None:
    machine = Machine("4.11")
    assert machine.op(Op.down, 0) == 0
    assert (machine.domain.shutdown, machine.op(Op.is_up, 0)) == (Shutdown.poweroff, 1)


def test_the_last_vcpu_just_goes_down_before_4_11() -> None:
    machine = Machine("4.10")
    machine.op(Op.down, 0)
    assert (machine.domain.shutdown, machine.op(Op.is_up, 0)) == (None, 0)


def test_runstate_of_a_vcpu_that_never_ran_is_offline(machine: Machine) -> None:
    memory = Memory(bytes(48))
    vcpu_op(machine.host, machine.domain, Op.get_runstate_info, 1, memory)
    assert vcpu_info.RUNSTATE_LAYOUT.unpack(memory.data)["state"] == vcpu_info.Runstate.offline


def test_runstate_wants_a_pointer(machine: Machine) -> None:
    with refused("EFAULT"):
        machine.op(Op.get_runstate_info, 0)


def test_send_nmi_wants_no_pointer(machine: Machine) -> None:
    assert machine.op(Op.send_nmi, 0) == 0
    with refused("EINVAL"):
        machine.op(Op.send_nmi, 0, b"12345678")


def test_a_singleshot_timer_is_for_the_calling_vcpu_only(machine: Machine) -> None:
    assert machine.op(Op.stop_singleshot_timer, 0, caller=0) == 0
    with refused("EINVAL"):
        machine.op(Op.stop_singleshot_timer, 1, caller=0)


def test_a_periodic_timer_below_a_millisecond_is_refused(machine: Machine) -> None:
    assert machine.op(Op.set_periodic_timer, 0, (1_000_000).to_bytes(8, "little")) == 0
    with refused("EINVAL"):
        machine.op(Op.set_periodic_timer, 0, (999_999).to_bytes(8, "little"))


def area(offset: int = 0, frame: int = 5) -> bytes:
    return frame.to_bytes(8, "little") + offset.to_bytes(8, "little")


@pytest.mark.parametrize(
    ("release", "answer"),
    [("4.7", "EINVAL"), ("4.15", "EINVAL"), ("4.16", "ENXIO"), ("4.17", "ENXIO"), ("4.18", "ENXIO")],
)
def test_a_vcpu_info_must_not_cross_a_page(release: str, answer: str) -> None:
    with refused(answer):
        Machine(release).op(Op.register_vcpu_info, 1, area(4033))


@pytest.mark.parametrize(("release", "answer"), [("4.17", "EINVAL"), ("4.18", "EBUSY")])
def test_a_vcpu_info_is_registered_once(release: str, answer: str) -> None:
    machine = Machine(release)
    machine.op(Op.register_vcpu_info, 1, area())
    with refused(answer):
        machine.op(Op.register_vcpu_info, 1, area())


def test_before_4_18_a_vcpu_info_can_be_registered_for_a_vcpu_that_is_down_only() -> None:
    machine = Machine("4.17", online=2)
    with refused("EINVAL"):
        machine.op(Op.register_vcpu_info, 1, area(), caller=0)
    assert Machine("4.18", online=2).op(Op.register_vcpu_info, 1, area(), caller=0) == 0


def test_shadow_paging_wants_memory_at_cr3() -> None:
    machine = Machine("4.14", vendor="amd", is_hap=False)
    beyond = machine.domain.memory.size << 12
    with refused("EINVAL"):
        machine.initialise(1, context_64().with_values(cr3=beyond))
    assert machine.last_line == f"(XEN) d1v0 Invalid CR3: {beyond:#x}"
    assert machine.initialise(1, context_64()) == 0


def test_hap_does_not_look_at_cr3_in_long_mode() -> None:
    machine = Machine()
    assert machine.initialise(1, context_64().with_values(cr3=machine.domain.memory.size << 12)) == 0


def test_a_state_that_the_processor_cannot_enter_crashes_the_domain_when_it_comes_up() -> None:
    machine = Machine()
    assert machine.initialise(1, context().with_values(cr0=0x80000010)) == 0
    assert machine.domain.shutdown is None
    machine.op(Op.up, 1)
    assert machine.domain.shutdown == Shutdown.crash
    assert machine.host.console.lines == [
        "(XEN) d1v1 vmentry failure (reason 0x80000021): Invalid guest state (0)",
        "(XEN) domain_crash called from arch/x86/hvm/vmx/vmx.c:1",
        "(XEN) Domain 1 (vcpu#1) crashed on cpu#0:",
    ]


def test_a_state_whose_first_instruction_faults_for_ever_asks_for_a_reboot() -> None:
    machine = Machine(vendor="amd")
    assert machine.initialise(1, context().with_values(eip=0x100000, cs_limit=0xFFFF, cs_ar=0xC9B)) == 0
    machine.op(Op.up, 1)
    assert machine.domain.shutdown == Shutdown.reboot
    assert machine.host.console.lines == [
        "(XEN) d1v1 Triple fault - invoking HVM shutdown action 1", "(XEN) *** Dumping Dom1 vcpu#1 state: ***",
    ]


def test_the_domain_policy_decides_which_cr4_bits_are_bad() -> None:
    machine = Machine(features=FEATURES)
    with refused("EINVAL"):
        machine.initialise(1, context_64().with_values(cr4=0x20 | 1 << 22))
    assert machine.last_line == "(XEN) d1v0 Bad CR4 value: 0x00000000400020"
