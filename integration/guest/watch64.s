# SPDX-License-Identifier: MIT
# What a vcpu runs that watches itself, as the boot vcpu does in tiny.s, in 64-bit code:
# every general and every vector register carries a pattern while the vcpu sleeps and
# spins, and is looked at then; so is the TSC. What it finds stands in the page behind.
# The pages are addressed from RIP, so that no register is needed for it.

        .set XEN_SCHED_OP, 29
        .set SCHEDOP_POLL, 3
        .set SPINS, 1000

        .macro each_register do
        \do rbx, 1
        \do rcx, 2
        \do rdx, 3
        \do rbp, 4
        \do rsp, 5
        .irp n, 8, 9, 10, 11, 12, 13, 14, 15
        \do r\n, \n
        .endr
        .endm

        .macro fill register, number
        movq patterns + 8 * \number(%rip), %\register
        .endm

        .macro compare register, number
        movl $\number, page + WT_LOOKS_AT(%rip)
        cmpq patterns + 8 * \number(%rip), %\register
        jne changed
        .endm

        .text
        .code64
start:  cmpl $0, page + WT_AVX(%rip)
        je again
        xorl %ecx, %ecx
        xorl %edx, %edx
        movl $7, %eax                   # x87, XMM and the upper halves
        xsetbv

again:  movl MAILBOX + MB_NOW, %eax
        movl MAILBOX + MB_NOW + 4, %edx
        addl $WATCH_NS, %eax
        adcl $0, %edx
        movl %eax, page + WT_POLL + 16(%rip)
        movl %edx, page + WT_POLL + 20(%rip)
        each_register fill
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movdqa vectors + 32 * \n(%rip), %xmm\n
        .endr
        cmpl $0, page + WT_AVX(%rip)
        je 1f
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovdqa vectors + 32 * \n(%rip), %ymm\n
        .endr

1:      movl $SCHEDOP_POLL, %edi
        leaq page + WT_POLL(%rip), %rsi
        movl $XEN_SCHED_OP, %eax
        vmmcall
        fill rax, 0
        fill rsi, 6
        fill rdi, 7
        movl $SPINS, page + WT_SPINS(%rip)
1:      pause
        decl page + WT_SPINS(%rip)
        jnz 1b

        compare rax, 0
        compare rsi, 6
        compare rdi, 7
        each_register compare
        cmpl $0, page + WT_AVX(%rip)
        jne wide
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movl $(16 + \n), page + WT_LOOKS_AT(%rip)
        pcmpeqb vectors + 32 * \n(%rip), %xmm\n
        pmovmskb %xmm\n, %eax
        cmpl $0xffff, %eax
        jne changed
        .endr
        jmp clock
wide:
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movl $(32 + \n), page + WT_LOOKS_AT(%rip)
        vxorps vectors + 32 * \n(%rip), %ymm\n, %ymm\n
        vptest %ymm\n, %ymm\n
        jnz changed
        .endr

clock:  rdtsc
        shlq $32, %rdx
        orq %rdx, %rax
        cmpq page + WT_TSC(%rip), %rax
        jae 1f
        incl page + WT_TSC_BACK(%rip)
1:      movq %rax, page + WT_TSC(%rip)
        incl page + WT_ROUNDS(%rip)
        jmp again

changed:
        movl page + WT_LOOKS_AT(%rip), %eax
        movl %eax, page + WT_LAST(%rip)
        incl page + WT_ERRORS(%rip)
        jmp again

        .balign 32
vectors:
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        .long 0x11111111 + \n, 0x22222222 + \n, 0x44444444 + \n, 0x88888888 + \n
        .long 0x1f1f1f1f + \n, 0x2f2f2f2f + \n, 0x4f4f4f4f + \n, 0x8f8f8f8f + \n
        .endr
patterns:
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        .quad 0xa5a5f00d00c0ffee + (\n << 24)
        .endr

        .set page, start + PAGE
