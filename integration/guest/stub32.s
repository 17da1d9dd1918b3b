# SPDX-License-Identifier: MIT
# What a vcpu runs that was started in 16-bit or 32-bit code: it dumps its
# registers, writes a marker and counts. WIDTH is 16 or 32. With QUIET it does
# nothing that leaves the guest (no control registers, no hypercall).
#
# Nothing is clobbered before it is saved. Addresses, as seen through DS and SS,
# are patched in over the sentinels. The marker is written when all else is.

        .set XEN_SCHED_OP, 29
        .set SCHEDOP_POLL, 3

        .text
        .if WIDTH == 16
        .code16
        addr32 movl %eax, SENTINEL_DUMP         # ST_GPRS is 0: eax
        .else
        .code32
        movl %eax, SENTINEL_DUMP
        .endif
        movl $SENTINEL_DUMP, %eax
        movl %ecx, 0x08(%eax)
        movl %edx, 0x10(%eax)
        movl %ebx, 0x18(%eax)
        movl %esp, 0x20(%eax)
        movl %ebp, 0x28(%eax)
        movl %esi, 0x30(%eax)
        movl %edi, 0x38(%eax)
        movw %cs, ST_SELECTORS(%eax)
        movw %ds, ST_SELECTORS + 2(%eax)
        movw %es, ST_SELECTORS + 4(%eax)
        movw %ss, ST_SELECTORS + 6(%eax)
        movw %fs, ST_SELECTORS + 8(%eax)
        movw %gs, ST_SELECTORS + 10(%eax)

        # A stack of our own, for the flags.
        .if WIDTH == 16
        movl $SENTINEL_STACK, %ecx
        movw %cx, %ss
        movl $ST_STACK, %esp
        .else
        movl $SENTINEL_STACK, %esp
        .endif
        pushfl
        popl %ecx
        movl %ecx, ST_RFLAGS(%eax)
        movl %eax, %edi                 # not ebp: that goes through SS

        # Bytes that each mode decodes in its own way: two increments of ax that
        # only 16-bit code sees, then a decrement that is a prefix in 64-bit code.
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
1:      movl %ecx, ST_WIDTH(%edi)

        .if QUIET == 0
        movl %cr0, %ecx
        movl %ecx, ST_CR0(%edi)
        movl %cr2, %ecx
        movl %ecx, ST_CR2(%edi)
        movl %cr3, %ecx
        movl %ecx, ST_CR3(%edi)
        movl %cr4, %ecx
        movl %ecx, ST_CR4(%edi)
        movl $0xc0000080, %ecx
        rdmsr
        movl %eax, ST_EFER(%edi)
        movl %edx, ST_EFER + 4(%edi)
        sgdtl ST_GDTR(%edi)
        sidtl ST_IDTR(%edi)
        .if WIDTH == 32
        str ST_SELECTORS + 12(%edi)
        sldt ST_SELECTORS + 14(%edi)
        testl $WANT_DEBUG, ST_WANTED(%edi)
        jz 2f
        .irp n, 0, 1, 2, 3
        movl %db\n, %eax
        movl %eax, ST_DRS + 8 * \n(%edi)
        .endr
        movl %db6, %eax
        movl %eax, ST_DRS + 32(%edi)
        movl %db7, %eax
        movl %eax, ST_DRS + 40(%edi)
2:      testl $WANT_FXSAVE, ST_WANTED(%edi)
        jz 3f
        fxsave ST_FXSAVE(%edi)
3:
        .endif
        .endif

        movl $MARKER, ST_MARKER(%edi)
        .if QUIET
1:      incl ST_COUNTER(%edi)
        pause
        jmp 1b
        .else
        # Sleeps from the clock that the boot vcpu keeps; with no clock
        # there, the zero means for ever.
1:      incl ST_COUNTER(%edi)
        movl $SENTINEL_NOW, %esi
        movl (%esi), %eax
        movl 4(%esi), %edx
        movl %eax, %ecx
        orl %edx, %ecx
        jz 2f
        addl $STUB_NS, %eax
        adcl $0, %edx
2:      movl $0, ST_POLL(%edi)
        movl $0, ST_POLL + 4(%edi)
        movl %eax, ST_POLL + 8(%edi)
        movl %edx, ST_POLL + 12(%edi)
        movl $SCHEDOP_POLL, %ebx
        movl $SENTINEL_POLL, %ecx               # Xen wants it linear
        movl $XEN_SCHED_OP, %eax
        vmmcall
        jmp 1b
        .endif
