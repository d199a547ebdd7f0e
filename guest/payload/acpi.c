/* The ACPI tables as an operating system finds them, and that the registers they name answer. */
#include "payload.h"

#define SIGNATURE(a, b, c, d) ((uint32_t)(a) | (b) << 8 | (c) << 16 | (uint32_t)(d) << 24)

static uint32_t load32(const uint8_t *p)
{
    return read32((uint64_t)p);
}

static bool sums_to_zero(const uint8_t *p, uint32_t size)
{
    uint8_t sum = 0;

    while (size--)
        sum = (uint8_t)(sum + *p++);
    return sum == 0;
}

static const uint8_t *find_rsdp(void)
{
    const uint8_t *p;

    for (p = (uint8_t *)0xe0000; p < (uint8_t *)0x100000; p += 16)
        if (memcmp(p, "RSD PTR ", 8) == 0 && sums_to_zero(p, 20))
            return p;
    return NULL;
}

static const uint8_t *find_table(const uint8_t *rsdt, uint32_t signature)
{
    uint32_t size = load32(rsdt + 4), at;

    for (at = 36; at + 4 <= size; at += 4) {
        const uint8_t *table = (uint8_t *)(uint64_t)load32(rsdt + at);

        if (load32(table) == signature)
            return table;
    }
    return NULL;
}

/* The 32-bit table of tables and, if there is one, the 64-bit one must list the same. */
static void test_roots(const uint8_t *rsdp, const uint8_t *rsdt)
{
    const uint8_t *xsdt = rsdp[15] >= 2 ? (uint8_t *)read64((uint64_t)rsdp + 24) : NULL;
    uint32_t count = (load32(rsdt + 4) - 36) / 4, i;
    bool sums = true, same = true;

    for (i = 0; i < count; i++) {
        const uint8_t *table = (uint8_t *)(uint64_t)load32(rsdt + 36 + 4 * i);

        sums &= sums_to_zero(table, load32(table + 4));
        same &= !xsdt || read64((uint64_t)xsdt + 36 + 8 * i) == (uint64_t)table;
    }
    check(sums_to_zero(rsdt, load32(rsdt + 4)), "the RSDT's checksum");
    check(!xsdt || (sums_to_zero(rsdp, load32(rsdp + 20)) && sums_to_zero(xsdt, load32(xsdt + 4))),
          "the XSDT's checksum");
    check(count >= 2 && sums, "the checksums of all tables");
    check(same, "RSDT and XSDT agree");
}

static void test_fadt(const uint8_t *fadt)
{
    const uint8_t *facs = (uint8_t *)(uint64_t)load32(fadt + 36);
    const uint8_t *dsdt = (uint8_t *)(uint64_t)load32(fadt + 40);

    check_equal(load32(facs), SIGNATURE('F', 'A', 'C', 'S'), "the FADT leads to the FACS");
    check_equal((uint64_t)facs & 63, 0, "which is aligned");
    check(load32(dsdt) == SIGNATURE('D', 'S', 'D', 'T') && sums_to_zero(dsdt, load32(dsdt + 4)),
          "the FADT leads to a sound DSDT");
    check_equal(read16((uint64_t)fadt + 46), 9, "the SCI is interrupt 9");
    check_equal(load32(fadt + 48), 0xb2, "the SMI command port");
    check_equal(load32(fadt + 56), PM_BASE, "the PM1 event block is where the chip has it");
    check_equal(load32(fadt + 64), PM_BASE + 4, "the PM1 control block");
    check_equal(load32(fadt + 76), PM_TIMER, "the PM timer");
    check_equal(fadt[91], 4, "the PM timer's length");
    check_equal(load32(fadt + 80), 0xafe0, "the general-purpose events");
}

static void test_mode(const uint8_t *fadt)
{
    uint16_t smi = (uint16_t)load32(fadt + 48), control = (uint16_t)load32(fadt + 64);
    unsigned i;

    outb(smi, fadt[53]);
    check_equal(inw(control) & 1, 0, "ACPI mode can be left");
    outb(smi, fadt[52]);
    for (i = 0; i < 100 && !(inw(control) & 1); i++)
        delay_ms(1);
    check_equal(inw(control) & 1, 1, "ACPI mode can be entered");
}

/* CPUs, one IOAPIC at GSI 0, IRQ 0 on GSI 2, and the level-triggered ones. */
static void test_madt(const uint8_t *madt)
{
    uint32_t size = load32(madt + 4), at, cpus = 0, ioapics = 0, levels = 0;
    bool timer = false;

    for (at = 44; at + 2 <= size && madt[at + 1] >= 2; at += madt[at + 1]) {
        const uint8_t *p = madt + at;

        cpus += p[0] == 0 && (p[4] & 1);
        ioapics += p[0] == 1 && load32(p + 4) == 0xfec00000 && load32(p + 8) == 0;
        timer |= p[0] == 2 && p[3] == 0 && load32(p + 4) == 2;
        if (p[0] == 2 && p[3] == load32(p + 4) && (p[8] & 0x0c) == 0x0c)
            levels |= 1u << p[3];
    }
    check_equal(cpus, cpu_count(), "the MADT lists the CPUs");
    check_equal(ioapics, 1, "and the IOAPIC");
    check(timer, "IRQ 0 goes to pin 2");
    check_equal(levels & 0xe00, 0xe00, "interrupts 9, 10 and 11 are level-triggered");
    check_equal(load32(madt + 36), 0xfee00000, "the local APICs' address");
}

/* SeaBIOS starts the keyboard only if it finds it in the DSDT. Its boot sector is still in memory. */
static void test_firmware(void)
{
    if (read16(0x7dfe) == 0xaa55)
        check(!(inb(0x21) & 2), "firmware has found the keyboard");
}

int main(void)
{
    const uint8_t *rsdp = find_rsdp(), *rsdt, *fadt, *madt;

    check(rsdp != NULL, "there is an RSDP below 1 MiB");
    if (!rsdp)
        return 0;
    rsdt = (uint8_t *)(uint64_t)load32(rsdp + 16);
    test_roots(rsdp, rsdt);
    fadt = find_table(rsdt, SIGNATURE('F', 'A', 'C', 'P'));
    madt = find_table(rsdt, SIGNATURE('A', 'P', 'I', 'C'));
    check(fadt && madt, "there are FADT and MADT");
    if (!fadt || !madt)
        return 0;
    test_fadt(fadt);
    test_mode(fadt);
    test_madt(madt);
    test_firmware();
    return 0;
}
