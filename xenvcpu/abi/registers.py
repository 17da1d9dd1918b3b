# SPDX-License-Identifier: MIT
"""Bits of the registers that a start sets, under the names of the SDM and of Xen's x86-defns.h."""

from __future__ import annotations

CR0_PE, CR0_ET, CR0_WP, CR0_NW, CR0_CD, CR0_PG = 1 << 0, 1 << 4, 1 << 16, 1 << 29, 1 << 30, 1 << 31
CR4_PAE, CR4_LA57, CR4_VMXE, CR4_PCIDE, CR4_CET = 1 << 5, 1 << 12, 1 << 13, 1 << 17, 1 << 23
EFER_SCE, EFER_LME, EFER_LMA, EFER_NXE, EFER_SVME = 1 << 0, 1 << 8, 1 << 10, 1 << 11, 1 << 12
EFLAGS_MBS, EFLAGS_IF, EFLAGS_VM = 1 << 1, 1 << 9, 1 << 17
"""MBS: bit 1, which always reads as one."""
AR_S, AR_P, AR_L, AR_DB, AR_G = 1 << 4, 1 << 7, 1 << 9, 1 << 10, 1 << 11
"""Of Xen's 12-bit word of segment attributes."""
