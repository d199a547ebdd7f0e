/*
 * A boot sector: with a payload behind it, it makes a disk that firmware boots. Reads 64 sectors, more than any payload
 * has, to 64 KiB by the BIOS, copies them to 1 MiB and enters them in flat 32-bit mode as a kernel's loader would.
 */
#define LOAD_SEGMENT 0x1000
#define SECTORS 64

        .code16
        .section .text
        .globl  boot
boot:
        ljmp    $0, $0x7c00 + (1f - boot)
1:      xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    $0x42, %ah              /* extended read; DL is the drive */
        movw    $0x7c00 + (packet - boot), %si
        int     $0x13
        jc      failed
        inb     $0x92, %al              /* A20 */
        orb     $2, %al
        andb    $0xfe, %al
        outb    %al, $0x92
        cli
        lgdtl   0x7c00 + (gdt_pointer - boot)
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $0x7c00 + (2f - boot)
failed: hlt
        jmp     failed

        .code32
2:      movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $LOAD_SEGMENT * 16, %esi
        movl    $0x100000, %edi
        movl    $SECTORS * 512 / 4, %ecx
        cld
        rep movsl
        movl    $0x100000, %eax
        jmp     *%eax

        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   0x7c00 + (gdt - boot)
packet: .byte   16, 0
        .word   SECTORS, 0, LOAD_SEGMENT
        .quad   1
        .org    510
        .word   0xaa55
