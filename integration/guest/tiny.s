# SPDX-License-Identifier: MIT
# The tiny guest. Its boot vcpu counts beats, does hypercalls that dom0 asks for
# in the mailbox, and, if told to, watches that no register of its own changes.
# Addresses and mailbox fields come from layout.py.

        .set XEN_MEMORY_OP, 12
        .set XENMEM_ADD_TO_PHYSMAP, 7
        .set XEN_VCPU_OP, 24
        .set VCPUOP_IS_UP, 3
        .set XEN_SCHED_OP, 29
        .set SCHEDOP_POLL, 3
        .set TIME, SHARED_INFO + 32     # vcpu 0's clock, see read_now
        .set SPINS, 2000

        .section .note.Xen, "a", @note
        .long 4, 4, 18                  # XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .long start

        .text
        .code32
# PARK: the kernel's first bytes, where a vcpu can be started without a stub and at any
# time, even before the boot vcpu ran. With IF set it is online for ever and does nothing.
park:   hlt
        jmp park

# ANNOUNCE: the same, but first the vcpu stores ESI where EDI points.
        .org park + ANNOUNCE - KERNEL, 0x90
        movl %esi, (%edi)
        jmp park

        .globl start
start:
        cld
        movl $STACK_TOP, %esp
        movl %cr4, %eax
        orl $0x600, %eax                # OSFXSR, OSXMMEXCPT
        movl %eax, %cr4

        # A new domain's memory is not always zero, and a stale mailbox is a request.
        movl $MAILBOX, %edi
        xorl %eax, %eax
        movl $(PAGE / 4), %ecx
        rep stosl

        # The hypercall page hides whether it is vmcall or vmmcall here.
        movl $0x40000000, %edi
1:      movl %edi, %eax
        cpuid
        cmpl $0x566e6558, %ebx          # "XenV", from "XenVMMXenVMM"
        je 2f
        addl $0x100, %edi
        jmp 1b
2:      leal 2(%edi), %eax
        cpuid
        movl %ebx, %ecx
        movl $HYPERCALL_PAGE, %eax
        xorl %edx, %edx
        wrmsr

        # Who is up while this vcpu has done no more than that.
        movl $UP_FIRST_LAST, %ebp
1:      movl $VCPUOP_IS_UP, %ebx
        movl %ebp, %ecx
        xorl %edx, %edx
        call *(hypercall + XEN_VCPU_OP * 4)
        cmpl $1, %eax
        jne 2f
        btsl %ebp, MAILBOX + MB_UP_FIRST
2:      decl %ebp
        jnz 1b

        movl $XENMEM_ADD_TO_PHYSMAP, %ebx
        movl $map_shared_info, %ecx
        call *(hypercall + XEN_MEMORY_OP * 4)
        testl %eax, %eax
        jnz dead

        movl $MAGIC, MAILBOX + MB_MAGIC
main:
        incl MAILBOX + MB_BEAT
        call check_tsc
        movl MAILBOX + MB_REQUEST, %eax
        cmpl %eax, MAILBOX + MB_ACCEPTED
        je 1f
        movl %eax, MAILBOX + MB_ACCEPTED # a request is done once only
        call proxy
1:      call read_now
        movl %eax, MAILBOX + MB_NOW
        movl %edx, MAILBOX + MB_NOW + 4
        addl $BEAT_NS, %eax
        adcl $0, %edx
        movl %eax, MAILBOX + MB_POLL + 8
        movl %edx, MAILBOX + MB_POLL + 12
        cmpl $0, MAILBOX + MB_CHECK
        jne 2f
        movl $SCHEDOP_POLL, %ebx
        movl $(MAILBOX + MB_POLL), %ecx
        call *(hypercall + XEN_SCHED_OP * 4)
        jmp main
2:      call watch
        jmp main

dead:   movl %eax, MAILBOX + MB_RESULT
        cli
        hlt
        jmp dead

# Does the hypercall in the mailbox, or the list of VCPUOPs in the batch.
proxy:
        cmpl $BATCH_OP, MAILBOX + MB_OP
        je batch
        movl MAILBOX + MB_ARGS, %ebx
        movl MAILBOX + MB_ARGS + 4, %ecx
        movl MAILBOX + MB_ARGS + 8, %edx
        movl MAILBOX + MB_ARGS + 12, %esi
        movl MAILBOX + MB_ARGS + 16, %edi
        movl MAILBOX + MB_OP, %eax
        shll $5, %eax
        addl $HYPERCALL_PAGE, %eax
        call *%eax
answer: movl %eax, MAILBOX + MB_RESULT
        incl MAILBOX + MB_EXECUTED
        movl MAILBOX + MB_ACCEPTED, %eax
        movl %eax, MAILBOX + MB_RESPONSE
        ret

# As many entries as the first argument says; each gets its answer.
batch:
        movl MAILBOX + MB_ARGS, %ebp
        movl $BATCH, %edi
1:      pushl %ebp
        pushl %edi
        movl (%edi), %ebx
        movl 4(%edi), %ecx
        movl 8(%edi), %edx
        call *(hypercall + XEN_VCPU_OP * 4)
        popl %edi
        popl %ebp
        movl %eax, 12(%edi)
        addl $BATCH_STRIDE, %edi
        decl %ebp
        jnz 1b
        xorl %eax, %eax
        jmp answer

# edx:eax = Xen's system time in ns. TIME is struct vcpu_time_info: version +0,
# tsc_timestamp +8, system_time +16, tsc_to_system_mul +24, tsc_shift +28.
read_now:
        movl TIME, %ebp
        testl $1, %ebp
        jnz read_now
        rdtsc
        subl TIME + 8, %eax
        sbbl TIME + 12, %edx
        movb TIME + 28, %cl
        testb %cl, %cl
        js 1f
        shldl %cl, %eax, %edx
        shll %cl, %eax
        jmp 2f
1:      negb %cl
        shrdl %cl, %edx, %eax
        shrl %cl, %edx
2:      movl %edx, %esi
        mull TIME + 24
        movl %edx, %edi                 # (low * mul) >> 32
        movl %esi, %eax
        mull TIME + 24
        addl %edi, %eax
        adcl $0, %edx
        addl TIME + 16, %eax
        adcl TIME + 20, %edx
        cmpl TIME, %ebp
        jne read_now
        ret

check_tsc:
        rdtsc
        cmpl MAILBOX + MB_TSC + 4, %edx
        ja 2f
        jb 1f
        cmpl MAILBOX + MB_TSC, %eax
        jae 2f
1:      incl MAILBOX + MB_TSC_BACK
2:      movl %eax, MAILBOX + MB_TSC
        movl %edx, MAILBOX + MB_TSC + 4
        ret

# Fills registers with known values, sleeps and spins with them, looks again.
# The poll hypercall needs ebx and ecx; everything else carries a pattern.
watch:
        movl %esp, saved_esp
        xorl %eax, %eax
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7
        movdqa patterns + 16 * \n, %xmm\n
        .endr
        movl $0xd15ea5ed, %edx
        movl $0x51510001, %esi
        movl $0xd1d10002, %edi
        movl $0xb9b90003, %ebp
        movl $SCHEDOP_POLL, %ebx
        movl $(MAILBOX + MB_POLL), %ecx
        call *(hypercall + XEN_SCHED_OP * 4)
        call compare
        movl $0xbbbb0004, %ebx
        movl $0xcccc0005, %ecx
        movl $SPINS, %eax
1:      pause
        decl %eax
        jnz 1b
        movb $1, %al
        cmpl $0xbbbb0004, %ebx
        jne 2f
        movb $2, %al
        cmpl $0xcccc0005, %ecx
        jne 2f
        call compare
        incl MAILBOX + MB_CHECKS
        ret
2:      movzbl %al, %eax
        jmp report

# Compares what poll must leave alone. Returns to the caller if all is well,
# else to the caller's caller by way of report.
compare:
        movb $3, %al
        cmpl $0xd15ea5ed, %edx
        jne 1f
        movb $4, %al
        cmpl $0x51510001, %esi
        jne 1f
        movb $5, %al
        cmpl $0xd1d10002, %edi
        jne 1f
        movb $6, %al
        cmpl $0xb9b90003, %ebp
        jne 1f
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7
        pcmpeqb patterns + 16 * \n, %xmm\n
        pmovmskb %xmm\n, %eax
        cmpl $0xffff, %eax
        movl $(16 + \n), %eax
        jne 1f
        movdqa patterns + 16 * \n, %xmm\n
        .endr
        movb $7, %al
        addl $4, %esp                   # as watch found it: one call less
        cmpl %esp, saved_esp
        leal -4(%esp), %esp
        jne 1f
        ret
1:      movzbl %al, %eax
        addl $4, %esp
report: movl %eax, MAILBOX + MB_LAST_ERROR
        incl MAILBOX + MB_ERRORS
        ret

        .balign 16
patterns:
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7
        .long 0x10101010 + \n, 0x20202020 + \n, 0x40404040 + \n, 0x80808080 + \n
        .endr

hypercall:
        .set entry, HYPERCALL_PAGE
        .rept 30
        .long entry
        .set entry, entry + 32
        .endr

map_shared_info:                        # struct xen_add_to_physmap
        .word 0x7ff0, 0                 # DOMID_SELF
        .long 0                         # XENMAPSPACE_shared_info
        .long 0
        .long SHARED_INFO >> 12

saved_esp:
        .long 0
