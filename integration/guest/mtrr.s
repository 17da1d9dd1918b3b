# SPDX-License-Identifier: MIT
# What a vcpu runs in flat 32-bit code that sets memory types of its own, and then
# reads them over and over: the PAT and all variable ranges, as dom0 left them in
# the page behind, where it notes what it finds and counts the rounds.

        .set XEN_SCHED_OP, 29
        .set IA32_PAT, 0x277
        .set IA32_MTRR_PHYSBASE0, 0x200

        .text
        .code32
        call 1f
1:      popl %edi
        andl $~(PAGE - 1), %edi
        addl $PAGE, %edi                        # the page behind

        movl $IA32_PAT, %ecx
        movl MT_PAT(%edi), %eax
        movl MT_PAT + 4(%edi), %edx
        wrmsr
        xorl %esi, %esi
2:      leal IA32_MTRR_PHYSBASE0(%esi), %ecx
        movl MT_RANGES(%edi, %esi, 8), %eax
        movl MT_RANGES + 4(%edi, %esi, 8), %edx
        wrmsr
        incl %esi
        cmpl $MT_COUNT, %esi
        jne 2b

3:      movl $IA32_PAT, %ecx
        rdmsr
        movl %eax, MT_SEEN_PAT(%edi)
        movl %edx, MT_SEEN_PAT + 4(%edi)
        xorl %esi, %esi
4:      leal IA32_MTRR_PHYSBASE0(%esi), %ecx
        rdmsr
        movl %eax, MT_SEEN_RANGES(%edi, %esi, 8)
        movl %edx, MT_SEEN_RANGES + 4(%edi, %esi, 8)
        incl %esi
        cmpl $MT_COUNT, %esi
        jne 4b
        incl MT_ROUNDS(%edi)
        movl $XEN_SCHED_OP, %eax                # SCHEDOP_yield
        xorl %ebx, %ebx
        vmmcall
        jmp 3b
