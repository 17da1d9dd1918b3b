# SPDX-License-Identifier: MIT
# The first sector of the tiny guest's disk: a BIOS runs it in real mode. It reads
# the kernel that stands behind it, and enters it as Xen enters a PVH kernel:
# 32-bit code, flat segments, no paging, no interrupts.

        .text
        .code16
        ljmp $0, $1f
1:      xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $BOOT_SECTOR, %sp
        movw $packet, %si               # DL is the disk, as the BIOS left it
        movb $0x42, %ah                 # extended read
        int $0x13
        jc failed
        cli
        lgdt tables
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        ljmp $8, $1f

failed: movw $0xe9, %dx                 # Xen's console
        movb $'!', %al
        outb %al, %dx
        hlt
        jmp failed

        .code32
1:      movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        cld
        movl $BOOT_BUFFER, %esi
        movl $KERNEL, %edi
        movl $(SECTORS * 128), %ecx
        rep movsl
        movl $ENTRY, %eax
        jmp *%eax

        .balign 8
descriptors:
        .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
tables: .word tables - descriptors - 1
        .long descriptors
packet: .word 16, SECTORS, 0, BOOT_BUFFER >> 4
        .quad 1

        .org 510, 0
        .word 0xaa55
