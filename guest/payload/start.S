/*
 * From the loader's flat 32-bit mode (Linux' 32-bit boot protocol, or Multiboot in QEMU) to main() in 64-bit mode, with
 * the first 4 GiB mapped one to one; the way of the other CPUs there; and the interrupts' entry.
 */
#define STACK_SIZE 16384
#define AP_STACK_SIZE 4096
#define AP_MAX 16

        .section .head, "ax"
        .code32
        .globl  _start
_start:
        jmp     begin
        .balign 4
        .long   0x1badb002, 0, -0x1badb002

begin:
        cli
        cld
        lgdt    gdt_pointer
        ljmp    $8, $1f
1:      movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $bss_start, %edi        /* memory keeps its content over a reset */
        movl    $bss_end, %ecx
        subl    %edi, %ecx
        shrl    $2, %ecx
        xorl    %eax, %eax
        rep stosl
        movl    $stack + STACK_SIZE, %esp
        call    map_memory
        call    enter_long_mode
        ljmp    $24, $start64

/* Four page directories of 2 MiB pages. */
map_memory:
        movl    $page_directories + 3, %eax
        movl    %eax, pdpt
        addl    $4096, %eax
        movl    %eax, pdpt + 8
        addl    $4096, %eax
        movl    %eax, pdpt + 16
        addl    $4096, %eax
        movl    %eax, pdpt + 24
        movl    $pdpt + 3, pml4
        movl    $page_directories, %edi
        movl    $0x83, %eax
        movl    $2048, %ecx
1:      movl    %eax, (%edi)
        addl    $0x200000, %eax
        addl    $8, %edi
        loop    1b
        ret

enter_long_mode:
        movl    %cr4, %eax
        orl     $0x20, %eax             /* PAE */
        movl    %eax, %cr4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       /* EFER.LME */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000001, %eax
        movl    %eax, %cr0
        ret

        .code64
start64:
        call    idt_init
        call    idt_load
        call    main
        call    finish
1:      hlt
        jmp     1b

/* Copied to AP_ENTRY, a page below 1 MiB: where SIPI starts a CPU, in real mode. */
        .code16
        .globl  ap_entry, ap_entry_end
ap_entry:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        lgdtl   0x8000 + (ap_gdt_pointer - ap_entry)
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $ap_start32
ap_gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt
ap_entry_end:

        .code32
ap_start32:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $1, %ebx
        lock xaddl %ebx, ap_count       /* which one am I */
        cmpl    $AP_MAX, %ebx
        jae     2f
        leal    1(%ebx), %eax
        imull   $AP_STACK_SIZE, %eax
        leal    ap_stacks(%eax), %esp
        call    enter_long_mode
        ljmp    $24, $1f
2:      cli
        hlt
        jmp     2b
        .code64
1:      call    idt_load
        movl    %ebx, %edi
        call    ap_main
2:      hlt
        jmp     2b

/* A payload without other CPUs need not say so. */
        .weak   ap_main
ap_main:
        ret

idt_load:
        lidt    idt_pointer
        ret

/* Sixteen bytes each: an error code where the CPU pushes none, the vector, and on. */
        .balign 16
        .globl  vectors
vectors:
        .set    vector, 0
        .rept   256
        .balign 16
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        pushq   $0
        .endif
        pushq   $vector
        jmp     interrupt_entry
        .set    vector, vector + 1
        .endr

interrupt_entry:
        cld
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        movq    72(%rsp), %rdi          /* vector */
        movq    88(%rsp), %rsi          /* where */
        call    interrupt
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp
        iretq

        .data
        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt
idt_pointer:
        .word   256 * 16 - 1
        .quad   idt

        .bss
        .balign 4096
pml4:   .skip   4096
pdpt:   .skip   4096
page_directories:
        .skip   4 * 4096
        .globl  idt
idt:    .skip   256 * 16
stack:  .skip   STACK_SIZE
ap_stacks:
        .skip   AP_MAX * AP_STACK_SIZE
        .globl  ap_count
ap_count:
        .long   0
