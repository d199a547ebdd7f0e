/* Memory-mapped registers: every width, the MSI-X table of a device as the registers, and what is not there. */
#include "payload.h"

#define NOTHING 0xfeb00000 /* in the PCI hole, below the APICs; no BAR is that high */
#define RNG     0x1005
#define RNG_1_0 0x1044
#define VIRTIO  0x1af4

static void test_table(uint64_t table)
{
    write32(table, 0xfee00000);
    write32(table + 4, 0);
    write32(table + 8, 0x1234);
    check_equal(read32(table), 0xfee00000, "a dword register");
    check_equal(read32(table + 8), 0x1234, "the next one");
    check_equal(read64(table), 0xfee00000, "two dwords at once");
    write64(table, 0xfee01000);
    check_equal(read32(table), 0xfee01000, "a quadword write: low half");
    check_equal(read32(table + 4), 0, "a quadword write: high half");
    check_equal(read32(table + 12) & 1, 1, "vectors start masked");
    write32(table, 0);
    write32(table + 8, 0);
}

/* The BAR in 4 KiB pages goes where the guest puts it, and leaves where it was. */
static void test_moving(unsigned devfn, unsigned bar)
{
    uint64_t old = pci_bar(devfn, bar);
    uint32_t high = 0xfea00000;

    write32(old + 8, 0x55aa);
    pci_write(devfn, 0x10 + 4 * bar, high, 4);
    check_equal(pci_bar(devfn, bar), high, "a BAR moves");
    check_equal(read32(high + 8), 0x55aa, "its registers are at the new place");
    check(read32(old + 8) != 0x55aa, "and not at the old one");
    pci_write(devfn, 4, pci_read(devfn, 4, 2) & ~2u, 2);
    check(read32(high + 8) != 0x55aa, "memory access can be switched off");
    pci_write(devfn, 4, pci_read(devfn, 4, 2) | 2, 2);
    pci_write(devfn, 0x10 + 4 * bar, (uint32_t)old, 4);
    check_equal(read32(old + 8), 0x55aa, "the BAR moves back");
}

static void test_nothing(void)
{
    check_equal(read8(NOTHING), 0xff, "unmapped memory reads as ones: byte");
    check_equal(read16(NOTHING), 0xffff, "unmapped memory reads as ones: word");
    check_equal(read32(NOTHING), 0xffffffff, "unmapped memory reads as ones: dword");
    check_equal(read64(NOTHING), UINT64_MAX, "unmapped memory reads as ones: quadword");
    write64(NOTHING, 0);
    check_equal(read64(NOTHING), UINT64_MAX, "unmapped memory takes no writes");
}

static void test_lapic(void)
{
    check_equal(read32(0xfee00030) & 0xf0, 0x10, "the local APIC has a version");
    check_equal(read32(0xfec00000) & ~0xffu, 0, "the IOAPIC has an index");
}

int main(void)
{
    int devfn = pci_find(VIRTIO, RNG);
    unsigned cap, bar;

    if (devfn < 0)
        devfn = pci_find(VIRTIO, RNG_1_0);
    cap = devfn < 0 ? 0 : pci_capability((unsigned)devfn, 0x11, 0);
    check(cap != 0, "there is a device with MSI-X");
    if (cap) {
        pci_write((unsigned)devfn, 4, pci_read((unsigned)devfn, 4, 2) | 6, 2);
        bar = pci_read((unsigned)devfn, cap + 4, 4) & 7;
        test_table(pci_bar((unsigned)devfn, bar));
        test_moving((unsigned)devfn, bar);
    }
    test_nothing();
    test_lapic();
    return 0;
}
