/*
 * The first two sectors of a bzImage (Documentation/arch/x86/boot.rst): nothing but the header. A payload is entered at
 * its 32-bit entry only; the real-mode entry is not there.
 */
        .code16
        .section .text
        .globl  setup
setup:
        .org    0x1f1
        .byte   1               /* setup_sects: one beside the boot sector */
        .org    0x1fe
        .word   0xaa55
        .org    0x202
        .ascii  "HdrS"
        .word   0x020c          /* protocol */
        .org    0x211
        .byte   0x01            /* loadflags: the rest goes to 1 MiB */
        .org    0x214
        .long   0x100000        /* code32_start */
        .org    0x22c
        .long   0x3fffffff      /* initrd_addr_max */
        .long   0x1000          /* kernel_alignment */
        .byte   0               /* not relocatable */
        .org    0x238
        .long   255             /* cmdline_size */
        .org    0x258
        .quad   0x100000        /* pref_address */
        .long   0x200000        /* init_size */
        .org    0x400
