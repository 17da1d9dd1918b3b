# SPDX-License-Identifier: MIT
# Handlers for the first 32 vectors, TRAP_STRIDE bytes each, with the same bytes in
# 32-bit and in 64-bit code. Each notes what stands on top of the stack, then its
# vector, and takes the vcpu down. DS becomes flat, whatever it was.

        .text
        .code64
        .set vector, 0
        .rept 32
        .org vector * TRAP_STRIDE, 0x90
        movl $TRAP_DATA, %eax
        movl %eax, %ds
        popq TRAP_STATE
        popq TRAP_STATE + 8
        movl $vector, TRAP_STATE + 16
        movl $MARKER, TRAP_STATE + 20
1:      cli
        hlt
        jmp 1b
        .set vector, vector + 1
        .endr
