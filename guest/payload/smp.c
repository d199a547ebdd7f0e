/* The other CPUs, started by INIT and SIPI, each with an APIC of its own. */
#include "payload.h"

#define AP_ENTRY 0x8000

extern const uint8_t ap_entry[], ap_entry_end[];
extern volatile uint32_t ap_count;
void ap_main(unsigned n);

static volatile uint32_t arrived, done, counter;
static volatile uint8_t ids[256]; /* how many CPUs have each APIC id */

void ap_main(unsigned n)
{
    unsigned i;

    (void)n;
    lapic_enable();
    ids[lapic_read(LAPIC_ID) >> 24]++;
    __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&counter, __ATOMIC_SEQ_CST))
        asm volatile("pause");
    for (i = 0; i < 1000; i++)
        __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    interrupts_on();
    for (;;)
        asm volatile("hlt");
}

static void start_others(void)
{
    memcpy((void *)AP_ENTRY, ap_entry, (size_t)(ap_entry_end - ap_entry));
    lapic_write(LAPIC_ICR, 0xc4500); /* INIT to all but this one */
    delay_ms(10);
    lapic_write(LAPIC_ICR, 0xc4600 | AP_ENTRY >> 12);
    delay_ms(1);
}

int main(void)
{
    uint32_t others = cpu_count() - 1;
    unsigned i, distinct = 0;

    lapic_enable();
    start_others();
    if (!wait_for(&arrived, others, 500))
        lapic_write(LAPIC_ICR, 0xc4600 | AP_ENTRY >> 12); /* as the manuals have it: twice */
    check(wait_for(&arrived, others, 5000), "the other CPUs start");
    delay_ms(20);
    check_equal(ap_count, others, "and no more than there are");
    for (i = 0; i < 256; i++)
        distinct += ids[i] == 1;
    check_equal(distinct, others, "each has an APIC id of its own");
    check_equal(ids[lapic_read(LAPIC_ID) >> 24], 0, "other than the first CPU's");
    counter = 1;
    check(wait_for(&done, others, 5000), "they run at the same time");
    check_equal(counter, 1 + 1000 * others, "atomic additions are not lost");
    lapic_write(LAPIC_ICR, 0xc4000 | IPI_VECTOR);
    check(wait_for(&interrupts[IPI_VECTOR], others, 5000),
          "each takes an interrupt from the first");
    return 0;
}
