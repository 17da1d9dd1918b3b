# SPDX-License-Identifier: MIT
# What a 64-bit vcpu does with state that only dom0 can give it: stores through FS, GS
# and, after swapgs, the other GS; takes a SYSCALL to its own entry below, which notes
# what the processor did; and there takes a fault, for the IDT and GDT given.

        .text
        .code64
        movl $EXT_WORD, %fs:SEG_SPOT
        movl $(EXT_WORD + 1), %gs:SEG_SPOT
        swapgs
        movl $(EXT_WORD + 2), %gs:SEG_SPOT
        .org EXT_SYSCALL - 2, 0x90
        syscall
1:      cli                             # EXT_SYSCALL: where it would return to
        hlt
        jmp 1b

        .org EXT_ENTRY, 0x90
        movq %rcx, EXT_STATE
        movq %r11, EXT_STATE + 8
        movw %cs, EXT_STATE + 16
        movw %ss, EXT_STATE + 18
        pushfq
        popq EXT_STATE + 24
        movl $MARKER, EXT_STATE + 32
        .org EXT_FAULT, 0x90
        ud2
