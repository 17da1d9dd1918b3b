# SPDX-License-Identifier: MIT
"""Where things stand in the tiny guest's memory: the only home of these numbers.

The assembly gets each upper-case integer of this module as a symbol of the
same name. Addresses are guest-physical; the tiny guest runs without paging.
"""

from typing import Dict

PAGE = 0x1000

#: A BIOS loads the first sector of a disk here, and that sector the others behind.
BOOT_SECTOR = 0x7C00
BOOT_BUFFER = 0x10000
#: The kernel image is loaded here.
KERNEL = 0x100000
#: A vcpu started here with IF set sleeps for ever, online.
PARK = KERNEL
#: The same, but it first stores its ESI at the address in its EDI.
ANNOUNCE = KERNEL + 4
#: Written by the boot vcpu, read by dom0, and the other way round.
MAILBOX = 0x200000
#: Xen's shared_info, mapped by the boot vcpu for its clock.
SHARED_INFO = 0x201000
#: For arguments of hypercalls that take a pointer; dom0 fills it.
ARGUMENT = 0x202000
STACK_TOP = 0x204000
#: Filled by Xen; the entry of hypercall N stands at 32 * N.
HYPERCALL_PAGE = 0x205000
#: A page that nobody clears, for what vcpus announce.
ANNOUNCED = 0x206000
#: Page tables that dom0 writes for the stubs.
TABLES = 0x210000
#: For stubs that take traps: descriptor tables and handlers that dom0 writes, and what a handler notes.
TRAP_IDT = 0x220000
TRAP_GDT = 0x221000
TRAP_HANDLERS = 0x222000
TRAP_STATE = 0x223000  # the two words on top of the stack, vector, marker
#: What extended64.s notes: RCX, R11, CS, SS, RFLAGS, marker.
EXT_STATE = 0x224000
#: A page for the base of each segment.
SEGMENTS = 0x230000
#: A list of VCPUOPs for one request, each with its pointer's data behind it.
BATCH = 0x300000
BATCH_STRIDE = 0x90
BATCH_MOST = 0x1000
BATCH_HEAD = 0x10  # words: command, vcpuid, pointer, and the answer
#: What dom0 writes into MB_OP for it; no hypercall has that number.
BATCH_OP = 0x1000
#: From here on each vcpu has two pages: the stub's code, and what it dumps.
STUBS = 0x400000
STUB_STRIDE = 0x2000
#: The same for 16-bit stubs, within reach of 16-bit offsets: vcpus 1 to 7.
LOW_STUBS = 0x0
LOW_STUBS_LAST = 7

# Fields of the mailbox.
MB_MAGIC = 0x00
MB_BEAT = 0x04
MB_REQUEST = 0x08  # dom0 writes it last
MB_ACCEPTED = 0x0C
MB_RESPONSE = 0x10  # the guest writes it last
MB_OP = 0x14
MB_ARGS = 0x18  # five words
MB_RESULT = 0x2C
MB_EXECUTED = 0x30  # hypercalls done for dom0
MB_CHECK = 0x34  # dom0 writes 1: watch the registers
MB_CHECKS = 0x38
MB_ERRORS = 0x3C
MB_LAST_ERROR = 0x40  # which register, see ERROR_NAMES
MB_TSC_BACK = 0x44  # times that the TSC went backwards
MB_TSC = 0x48
MB_NOW = 0x50  # Xen's system time in ns at the last beat
MB_UP_FIRST = 0x58  # bit N: vcpu N was up when the boot vcpu began
MB_POLL = 0x60  # struct sched_poll

#: The last vcpu that the boot vcpu asks for.
UP_FIRST_LAST = 7

MAGIC = 0x31565854
#: Sleep between two beats.
BEAT_NS = 5000000
#: Sleep of a stub between two counts: 127 of them must leave dom0 some time.
STUB_NS = 100000000

# Fields of a stub's dump page: 64 bits each unless said otherwise.
ST_GPRS = 0x000  # rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15
ST_RFLAGS = 0x080
ST_CR0 = 0x088
ST_CR2 = 0x090
ST_CR3 = 0x098
ST_CR4 = 0x0A0
ST_EFER = 0x0A8
ST_FS_BASE = 0x0B0
ST_GS_BASE = 0x0B8
ST_KERNEL_GS_BASE = 0x0C0
ST_SELECTORS = 0x0C8  # 16 bits each: cs ds es ss fs gs tr ldtr
ST_WIDTH = 0x0D8  # 32 bits: 16, 32 or 64, as the processor decoded it
ST_WANTED = 0x0DC  # 32 bits, from dom0: WANT_* bits
ST_GDTR = 0x0E0  # 16-bit limit, base
ST_IDTR = 0x0F0
ST_MARKER = 0x100  # 32 bits, written after all of the above
ST_COUNTER = 0x104  # 32 bits, counts on after the marker
ST_POLL = 0x108
ST_DRS = 0x120  # dr0 dr1 dr2 dr3 dr6 dr7
ST_MSRS = 0x150  # in the order of MSRS
ST_NEVER = 0x190  # a clock that stands at zero: sleep for ever
ST_FXSAVE = 0x200  # 512 bytes
ST_STACK = 0xFF0

# Fields of the page that device.s writes: 32 bits each.
DV_ROUNDS = 0x00
DV_WRONG = 0x04  # rounds in which the device said something else than it was told
DV_TOLD = 0x08  # in the last of these
DV_SAID = 0x0C
DV_SLIPS = 0x10  # rounds in which a register of the vcpu itself had changed

MARKER = 0x5AFE600D

# What segments.s stores, where, and what its ECX asks for.
SEG_WORD = 0x0C5C0DE0
SEG_SPOT = 0x40
SEG_FS_GS = 1
SEG_LIMIT = 2
SEG_SPINS = 4  # it ends in a loop that does not leave the guest
SEG_APIC_ID = 0x20  # in the page of the local APIC
SEG_BEYOND = 0x100  # the access beyond the limit

# Offsets in extended64.s, and what it stores.
EXT_WORD = 0x0E8700D0
EXT_SYSCALL = 0x80
EXT_ENTRY = 0x100
EXT_FAULT = 0x180

# Selectors and sizes of the trap tables.
TRAP_CODE = 0x08
TRAP_DATA = 0x10
TRAP_GDT_LIMIT = 0x17
TRAP_STRIDE = 0x40

# Fields of the page behind watch64.s: 32 bits each unless said otherwise.
WT_ROUNDS = 0x00
WT_ERRORS = 0x04
WT_LAST = 0x08  # the register that had changed, see WATCH_NAMES
WT_TSC_BACK = 0x0C
WT_TSC = 0x10  # 64 bits
WT_AVX = 0x18  # dom0 writes 1: YMM registers too
WT_LOOKS_AT = 0x1C
WT_SPINS = 0x20
WT_POLL = 0x28  # struct sched_poll
#: Its sleep between two rounds.
WATCH_NS = 20000000

# Fields of the page behind mtrr.s: 64 bits each. It sets what dom0 wrote, and notes what it reads.
MT_PAT = 0x000
MT_RANGES = 0x008  # base and mask of eight ranges, in turn
MT_COUNT = 16
MT_SEEN_PAT = 0x100
MT_SEEN_RANGES = 0x108
MT_ROUNDS = 0x200

WANT_DEBUG = 1
WANT_MSRS = 2
WANT_FXSAVE = 4
WANT_TSC_AUX = 8  # faults in a domain without RDTSCP, such as the lab's

#: In the blobs, replaced by addresses when a stub is placed.
SENTINEL_DUMP = 0x5E47D00D
SENTINEL_STACK = 0x5E475ACC
SENTINEL_NOW = 0x5E47C10C
SENTINEL_POLL = 0x5E470011

#: MSRs that a stub reads if told to, by name.
MSRS: Dict[str, int] = {
    "sysenter_cs": 0x174,
    "sysenter_esp": 0x175,
    "sysenter_eip": 0x176,
    "star": 0xC0000081,
    "lstar": 0xC0000082,
    "cstar": 0xC0000083,
    "sfmask": 0xC0000084,
    "tsc_aux": 0xC0000103,
}

#: What MB_LAST_ERROR means.
ERROR_NAMES: Dict[int, str] = {
    0: "none",
    1: "ebx",
    2: "ecx",
    3: "edx",
    4: "esi",
    5: "edi",
    6: "ebp",
    7: "esp",
    **{16 + number: f"xmm{number}" for number in range(8)},
}

#: What WT_LAST means.
WATCH_NAMES: Dict[int, str] = {
    **dict(enumerate("rax rbx rcx rdx rbp rsp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split())),
    **{16 + number: f"xmm{number}" for number in range(16)},
    **{32 + number: f"ymm{number}" for number in range(16)},
}


def symbols() -> Dict[str, int]:
    """Returns the constants that the assembly sees."""
    return {
        name: value
        for name, value in globals().items()
        if name.isupper() and isinstance(value, int)
    }
