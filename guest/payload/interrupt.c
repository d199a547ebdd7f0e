/* Interrupt table and controllers: two 8259s, the IOAPIC, the CPU's own APIC. */
#include "payload.h"

#define PIC1           0x20
#define PIC2           0xa0
#define PIC_EOI        0x20
#define IOAPIC         0xfec00000
#define LAPIC          0xfee00000
#define CODE64         24
#define GATE_PRESENT   0x8e00
#define REDIRECT_LEVEL 0x8000
#define REDIRECT_MASK  0x10000

struct gate {
    uint16_t offset_low, selector, type, offset_middle;
    uint32_t offset_high, zero;
};

extern struct gate idt[256];
extern const uint8_t vectors[256][16];

volatile uint32_t interrupts[256];
void (*interrupt_hook)(unsigned vector);

void idt_init(void)
{
    unsigned i;

    for (i = 0; i < 256; i++) {
        uint64_t at = (uint64_t)vectors[i];

        idt[i] = (struct gate){.offset_low = (uint16_t)at,
                               .selector = CODE64,
                               .type = GATE_PRESENT,
                               .offset_middle = (uint16_t)(at >> 16),
                               .offset_high = (uint32_t)(at >> 32)};
    }
}

static void end_of_interrupt(unsigned vector)
{
    if (vector >= PIC_VECTOR(8) && vector < PIC_VECTOR(16))
        outb(PIC2, PIC_EOI);
    if (vector < PIC_VECTOR(16))
        outb(PIC1, PIC_EOI);
    else if (vector != SPURIOUS_VECTOR)
        lapic_write(LAPIC_EOI, 0);
}

void interrupt(uint64_t vector, uint64_t where);

void interrupt(uint64_t vector, uint64_t where)
{
    if (vector < 32) {
        put("Bail out! exception ");
        put_hex(vector);
        put(" at ");
        put_hex(where);
        put("\n");
        finish();
    }
    __atomic_add_fetch(&interrupts[vector], 1, __ATOMIC_SEQ_CST);
    if (interrupt_hook)
        interrupt_hook((unsigned)vector);
    end_of_interrupt((unsigned)vector);
}

void pic_init(void)
{
    outb(PIC1, 0x11);
    outb(PIC2, 0x11);
    outb(PIC1 + 1, PIC_VECTOR(0));
    outb(PIC2 + 1, PIC_VECTOR(8));
    outb(PIC1 + 1, 4);
    outb(PIC2 + 1, 2);
    outb(PIC1 + 1, 1);
    outb(PIC2 + 1, 1);
    pic_mask_all();
}

void pic_mask_all(void)
{
    outb(PIC1 + 1, 0xff);
    outb(PIC2 + 1, 0xff);
}

void pic_unmask(unsigned irq)
{
    uint16_t port = irq < 8 ? PIC1 + 1 : PIC2 + 1;

    outb(port, inb(port) & (uint8_t) ~(1u << irq % 8));
    if (irq >= 8)
        outb(PIC1 + 1, inb(PIC1 + 1) & (uint8_t)~4);
}

uint32_t lapic_read(unsigned reg)
{
    return read32(LAPIC + reg);
}

void lapic_write(unsigned reg, uint32_t value)
{
    write32(LAPIC + reg, value);
}

void lapic_enable(void)
{
    lapic_write(LAPIC_SPURIOUS, 0x100 | SPURIOUS_VECTOR);
}

static void ioapic_write(unsigned index, uint32_t value)
{
    write32(IOAPIC, index);
    write32(IOAPIC + 0x10, value);
}

void ioapic_route(unsigned gsi, unsigned vector, bool level)
{
    ioapic_write(0x11 + 2 * gsi, lapic_read(LAPIC_ID) & 0xff000000);
    ioapic_write(0x10 + 2 * gsi, vector | (level ? REDIRECT_LEVEL : 0));
}

void ioapic_mask(unsigned gsi)
{
    ioapic_write(0x10 + 2 * gsi, REDIRECT_MASK);
}
