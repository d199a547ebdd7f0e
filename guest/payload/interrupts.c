/* Each source of interrupts on the board, by the PICs, the IOAPIC and the CPU's own APIC. */
#include "payload.h"

#define PIT_HZ 1193182

static void quiet_device(unsigned vector)
{
    if (vector == PIC_VECTOR(8) || vector == IOAPIC_VECTOR(8))
        rtc_read(0x0c);
    if (vector == PIC_VECTOR(4))
        inb(0x3fa);
    if (vector == PIC_VECTOR(1) || vector == PIC_VECTOR(12) || vector == IOAPIC_VECTOR(1))
        inb(0x60);
}

static void pit_start(unsigned hz)
{
    unsigned count = PIT_HZ / hz;

    outb(0x43, 0x34);
    outb(0x40, (uint8_t)count);
    outb(0x40, (uint8_t)(count >> 8));
}

static void pit_stop(void)
{
    outb(0x43, 0x30); /* one shot, never started */
}

static void test_pit(void)
{
    pit_start(100);
    pic_unmask(0);
    check(wait_for(&interrupts[PIC_VECTOR(0)], 3, 2000), "PIT interrupts by the PIC");
    pic_mask_all();
    ioapic_route(2, IOAPIC_VECTOR(2), false);
    check(wait_for(&interrupts[IOAPIC_VECTOR(2)], 3, 2000), "PIT interrupts by IOAPIC pin 2");
    ioapic_mask(2);
    pit_stop();
}

static void test_lapic_timer(void)
{
    lapic_write(LAPIC_TIMER_DIVIDE, 0x0b); /* by 1 */
    lapic_write(LAPIC_LVT_TIMER, LAPIC_TIMER_VECTOR);
    lapic_write(LAPIC_TIMER_INITIAL, 1000000);
    check(wait_for(&interrupts[LAPIC_TIMER_VECTOR], 1, 2000), "local APIC timer fires once");
    lapic_write(LAPIC_LVT_TIMER, LAPIC_TIMER_VECTOR | 0x20000);
    lapic_write(LAPIC_TIMER_INITIAL, 2000000);
    check(wait_for(&interrupts[LAPIC_TIMER_VECTOR], 4, 2000), "local APIC timer is periodic");
    lapic_write(LAPIC_LVT_TIMER, 0x10000);
    lapic_write(LAPIC_TIMER_INITIAL, 0);
}

static void test_rtc(void)
{
    rtc_write(0x0a, 0x2a); /* 64 Hz */
    rtc_read(0x0c);
    rtc_write(0x0b, 0x42);
    pic_unmask(8);
    check(wait_for(&interrupts[PIC_VECTOR(8)], 3, 2000), "clock interrupts by the PIC");
    pic_mask_all();
    rtc_read(0x0c);
    ioapic_route(8, IOAPIC_VECTOR(8), false);
    check(wait_for(&interrupts[IOAPIC_VECTOR(8)], 3, 2000), "clock interrupts by the IOAPIC");
    ioapic_mask(8);
    rtc_write(0x0b, 0x02);
    rtc_read(0x0c);
}

static void test_serial(void)
{
    pic_unmask(4);
    outb(0x3fc, 0x0b); /* DTR, RTS, OUT2 */
    outb(0x3f9, 0x02); /* transmitter empty */
    check(wait_for(&interrupts[PIC_VECTOR(4)], 1, 2000), "serial port interrupts by the PIC");
    outb(0x3f9, 0);
    pic_mask_all();
}

/* The controller's own way to make a byte appear to come from the keyboard or the mouse. */
static void loop_back(uint8_t command, uint8_t byte)
{
    outb(0x64, command);
    outb(0x60, byte);
}

static void test_keyboard_controller(void)
{
    while (inb(0x64) & 1)
        inb(0x60);
    outb(0x64, 0x60);
    outb(0x60, 0x07); /* both interrupts */
    pic_unmask(1);
    pic_unmask(12);
    loop_back(0xd2, 0x1e);
    check(wait_for(&interrupts[PIC_VECTOR(1)], 1, 2000), "keyboard interrupts by the PIC");
    loop_back(0xd3, 0x5a);
    check(wait_for(&interrupts[PIC_VECTOR(12)], 1, 2000), "mouse interrupts by the PIC");
    pic_mask_all();
    ioapic_route(1, IOAPIC_VECTOR(1), false);
    loop_back(0xd2, 0x1e);
    check(wait_for(&interrupts[IOAPIC_VECTOR(1)], 1, 2000), "keyboard interrupts by the IOAPIC");
    ioapic_mask(1);
}

static void test_self_ipi(void)
{
    lapic_write(LAPIC_ICR, 0x40000 | IPI_VECTOR);
    check(wait_for(&interrupts[IPI_VECTOR], 1, 2000), "a CPU interrupts itself");
}

/* Edge or level for each line: the registers take what PCI needs and keep the PC's own as edges. */
static void test_elcr(void)
{
    outb(0x4d1, 0x0c);
    check_equal(inb(0x4d1), 0x0c, "IRQs 10 and 11 become level-triggered");
    outb(0x4d0, 0xff);
    check_equal(inb(0x4d0), 0xf8, "IRQs 0 to 2 stay edge-triggered");
    outb(0x4d0, 0);
}

int main(void)
{
    interrupt_hook = quiet_device;
    pic_init();
    lapic_enable();
    interrupts_on();
    test_pit();
    test_lapic_timer();
    test_rtc();
    test_serial();
    test_keyboard_controller();
    test_self_ipi();
    test_elcr();
    check_equal(interrupts[SPURIOUS_VECTOR], 0, "no spurious interrupts");
    return 0;
}
