# SPDX-License-Identifier: MIT
# What a vcpu of an HVM guest runs that talks to a device of the device model, over
# and over: it tells the first disk's task file a number, which does nothing as long
# as no command follows, and asks for it again. Each access leaves the guest, goes to
# QEMU and comes back. One that is lost, or answered to another one, shows as a wrong
# number: AL has the byte read before it, or zero. EBP counts the rounds a second time.

        .set TASK_FILE, 0x1f2           # sector count, and three bytes of an address

        .text
        .code32
        movl $SENTINEL_DUMP, %edi
        movl DV_ROUNDS(%edi), %ebp
1:      movw $TASK_FILE, %dx
        movl %ebp, %eax
        .rept 4
        outb %al, %dx
        shrl $8, %eax
        incw %dx
        .endr
        xorl %esi, %esi
        .rept 4
        decw %dx
        inb %dx, %al
        shll $8, %esi
        movzbl %al, %eax
        orl %eax, %esi
        .endr
        cmpl %ebp, %esi
        je 2f
        incl DV_WRONG(%edi)
        movl %ebp, DV_TOLD(%edi)
        movl %esi, DV_SAID(%edi)
2:      cmpl %ebp, DV_ROUNDS(%edi)
        je 3f
        incl DV_SLIPS(%edi)
        movl DV_ROUNDS(%edi), %ebp
3:      incl %ebp
        incl DV_ROUNDS(%edi)
        jmp 1b
