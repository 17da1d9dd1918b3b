# SPDX-License-Identifier: MIT
# What the segment registers of a vcpu do: its code reads a word through CS and stores
# it through each of the others, every time one more, every time 8 bytes further. ECX
# says what is wanted besides. With SEG_LIMIT the access through ES is not to memory,
# but to the local APIC, at the last bytes within the limit and then at the first
# beyond it: the emulator looks at no limit, but Xen does when it acts for a device.
# WIDTH is 16, 32 or 64.

        .text
        .if WIDTH == 16
        .code16
        .elseif WIDTH == 32
        .code32
        .else
        .code64
        .endif
        .if WIDTH == 64
        movl word(%rip), %eax
        .else
        movl %cs:word, %eax
        .endif
        movl %eax, %ds:SEG_SPOT
        incl %eax
        movl %eax, %ss:SEG_SPOT + 8
        incl %eax
        testl $SEG_FS_GS, %ecx
        jz 1f
        movl %eax, %fs:SEG_SPOT + 16
        incl %eax
        movl %eax, %gs:SEG_SPOT + 24
1:      testl $SEG_LIMIT, %ecx
        jnz limit
        movl $(SEG_WORD + 4), %eax
        movl %eax, %es:SEG_SPOT + 32
done:   movl $MARKER, %ss:SEG_SPOT + 40
        testl $SEG_SPINS, %ecx
        jnz 2f
1:      cli
        hlt
        jmp 1b
2:      pause
        jmp 2b

limit:
        .if WIDTH == 32
        lgdtl %cs:gdt
        lidtl %cs:idt
        movl %es:SEG_APIC_ID, %eax
        movl %eax, %ss:SEG_SPOT + 48
        .org SEG_BEYOND, 0x90
        movb %es:SEG_APIC_ID + 4, %al
        movl %eax, %ss:SEG_SPOT + 56
        jmp done
gdt:    .word TRAP_GDT_LIMIT
        .long TRAP_GDT
idt:    .word PAGE - 1
        .long TRAP_IDT
        .else
        jmp done
        .endif
word:   .long SEG_WORD
