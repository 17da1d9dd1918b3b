# SPDX-License-Identifier: MIT
"""The public interface of xenvcpu in one place."""

from __future__ import annotations

from xenvcpu.abi.vcpu_hvm_context import Mode
from xenvcpu.allowances import Allowances
from xenvcpu.context.presets import PRESETS, compat32, flat32, long64, pae32, pvh, real16
from xenvcpu.context.segment import DescriptorTable, Segment, SegmentAttributes
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.dom0domain import Dom0Domain
from xenvcpu.execute import StartReport
from xenvcpu.guestdomain import GuestDomain
from xenvcpu.host import Host, open_host
from xenvcpu.rules.check import check_context, check_record
from xenvcpu.rules.features import Features
from xenvcpu.rules.release import Release
from xenvcpu.rules.verdict import Finding, Level, Verdict
from xenvcpu.vcpustate import VcpuState

__all__ = [
    "PRESETS", "Allowances", "DescriptorTable", "Dom0Domain", "Features", "Finding", "GuestDomain", "Host", "Level",
    "Mode", "Release", "Segment", "SegmentAttributes", "StartReport", "VcpuContext", "VcpuState", "Verdict",
    "check_context", "check_record", "compat32", "flat32", "long64", "open_host", "pae32", "pvh", "real16",
]
