# SPDX-License-Identifier: MIT
# What a vcpu runs that was started in 64-bit code; stub32.s has the rest.
# Sentinels are 64 bits wide here, each the 32-bit one twice.

        .set XEN_SCHED_OP, 29
        .set SCHEDOP_POLL, 3

        .text
        .code64
        movabsq %rax, (SENTINEL_DUMP << 32) + SENTINEL_DUMP
        movabsq $((SENTINEL_DUMP << 32) + SENTINEL_DUMP), %rax
        movq %rcx, 0x08(%rax)
        movq %rdx, 0x10(%rax)
        movq %rbx, 0x18(%rax)
        movq %rsp, 0x20(%rax)
        movq %rbp, 0x28(%rax)
        movq %rsi, 0x30(%rax)
        movq %rdi, 0x38(%rax)
        .irp n, 8, 9, 10, 11, 12, 13, 14, 15
        movq %r\n, 8 * \n(%rax)
        .endr
        movw %cs, ST_SELECTORS(%rax)
        movw %ds, ST_SELECTORS + 2(%rax)
        movw %es, ST_SELECTORS + 4(%rax)
        movw %ss, ST_SELECTORS + 6(%rax)
        movw %fs, ST_SELECTORS + 8(%rax)
        movw %gs, ST_SELECTORS + 10(%rax)
        movabsq $((SENTINEL_STACK << 32) + SENTINEL_STACK), %rsp
        pushfq
        popq %rcx
        movq %rcx, ST_RFLAGS(%rax)
        movq %rax, %rbp

        # As in stub32.s: bytes that each mode decodes in its own way.
        movl $16, %ecx
        .byte 0xb8, 0x00, 0x00, 0x40, 0x40
        .byte 0xa8, 0xff                        # test $0xff, %al
        jnz 1f
        movl $32, %ecx
        xorl %eax, %eax
        .byte 0x48, 0x90
        testl %eax, %eax
        jnz 1f
        movl $64, %ecx
1:      movl %ecx, ST_WIDTH(%rbp)

        .irp n, 0, 2, 3, 4
        movq %cr\n, %rcx
        .if \n == 0
        movq %rcx, ST_CR0(%rbp)
        .else
        movq %rcx, ST_CR2 + 8 * (\n - 2)(%rbp)
        .endif
        .endr
        .macro read_msr number, offset
        movl $\number, %ecx
        rdmsr
        movl %eax, \offset(%rbp)
        movl %edx, \offset + 4(%rbp)
        .endm
        read_msr 0xc0000080, ST_EFER
        read_msr 0xc0000100, ST_FS_BASE
        read_msr 0xc0000101, ST_GS_BASE
        read_msr 0xc0000102, ST_KERNEL_GS_BASE
        sgdt ST_GDTR(%rbp)
        sidt ST_IDTR(%rbp)
        str ST_SELECTORS + 12(%rbp)
        sldt ST_SELECTORS + 14(%rbp)

        testl $WANT_DEBUG, ST_WANTED(%rbp)
        jz 2f
        .irp n, 0, 1, 2, 3
        movq %db\n, %rax
        movq %rax, ST_DRS + 8 * \n(%rbp)
        .endr
        movq %db6, %rax
        movq %rax, ST_DRS + 32(%rbp)
        movq %db7, %rax
        movq %rax, ST_DRS + 40(%rbp)
2:      testl $WANT_MSRS, ST_WANTED(%rbp)
        jz 3f
        read_msr 0x174, ST_MSRS
        read_msr 0x175, ST_MSRS + 8
        read_msr 0x176, ST_MSRS + 16
        read_msr 0xc0000081, ST_MSRS + 24
        read_msr 0xc0000082, ST_MSRS + 32
        read_msr 0xc0000083, ST_MSRS + 40
        read_msr 0xc0000084, ST_MSRS + 48
3:      testl $WANT_TSC_AUX, ST_WANTED(%rbp)
        jz 3f
        read_msr 0xc0000103, ST_MSRS + 56
3:      testl $WANT_FXSAVE, ST_WANTED(%rbp)
        jz 4f
        fxsaveq ST_FXSAVE(%rbp)
4:
        movl $MARKER, ST_MARKER(%rbp)
        movabsq $((SENTINEL_NOW << 32) + SENTINEL_NOW), %r12
5:      incl ST_COUNTER(%rbp)
        movq (%r12), %rax
        testq %rax, %rax
        jz 6f
        addq $STUB_NS, %rax
6:      movq $0, ST_POLL(%rbp)
        movq $0, ST_POLL + 8(%rbp)
        movq %rax, ST_POLL + 16(%rbp)
        movl $SCHEDOP_POLL, %edi
        movabsq $((SENTINEL_POLL << 32) + SENTINEL_POLL), %rsi
        movl $XEN_SCHED_OP, %eax
        vmmcall
        jmp 5b
