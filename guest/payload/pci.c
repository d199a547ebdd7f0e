/* PCI as drivers find it: the board's own functions, BARs that can be sized, capability lists that end. */
#include "payload.h"

static void test_board(void)
{
    check_equal(pci_read(0x00, 0x00, 4), 0x12378086, "00:00.0 is the i440FX");
    check_equal(pci_read(0x00, 0x2c, 4), 0x11001af4, "its subsystem is the one SeaBIOS looks for");
    check_equal(pci_read(0x00, 0x08, 4) >> 8, 0x060000, "its class is host bridge");
    check_equal(pci_read(0x08, 0x00, 4), 0x70008086, "00:01.0 is the PIIX3");
    check_equal(pci_read(0x08, 0x08, 4) >> 8, 0x060100, "its class is ISA bridge");
    check_equal(pci_read(0x08, 0x0e, 1), 0x80, "it has more functions");
    check_equal(pci_read(0x0b, 0x00, 4), 0x71138086, "00:01.3 is the PIIX4's power management");
    check_equal(pci_read(0x0b, 0x40, 4) & ~1u, 0x600, "its registers are at 0x600");
    check_equal(pci_read(0xff, 0x00, 4), 0xffffffff, "an empty slot reads as ones");
    pci_write(0x00, 0x00, 0, 4);
    check_equal(pci_read(0x00, 0x00, 4), 0x12378086, "ids are read only");
}

static void test_mechanism(void)
{
    outl(0xcf8, 0);
    check_equal(inl(0xcfc), 0xffffffff, "without the enable bit nothing answers");
    outl(0xcf8, 0x80010000);
    check_equal(inl(0xcfc), 0xffffffff, "there is no bus 1");
    outl(0xcf8, 0x80000000);
    outb(0xcf8, 0x08);
    check_equal(inl(0xcf8), 0x80000000, "the address takes dwords only");
}

/* The size by writing ones; 0: no BAR, or one that is not a power of two. */
static uint32_t bar_size(unsigned devfn, unsigned n)
{
    uint32_t old = pci_read(devfn, 0x10 + 4 * n, 4), mask;

    pci_write(devfn, 0x10 + 4 * n, 0xffffffff, 4);
    mask = pci_read(devfn, 0x10 + 4 * n, 4);
    pci_write(devfn, 0x10 + 4 * n, old, 4);
    if (!mask)
        return 0;
    mask &= mask & 1 ? ~3u : ~15u;
    return ~mask + 1;
}

/* True if all of a function's BARs have lawful sizes and lie at multiples of them. */
static bool bars_are_sound(unsigned devfn)
{
    uint16_t command = (uint16_t)pci_read(devfn, 4, 2);
    bool sound = true;
    unsigned n;

    pci_write(devfn, 4, command & ~3u, 2);
    for (n = 0; n < 6; n++) {
        uint32_t low = pci_read(devfn, 0x10 + 4 * n, 4), size = bar_size(devfn, n);

        if (!size)
            continue;
        sound &= (size & (size - 1)) == 0 && size >= (low & 1 ? 4u : 16u);
        sound &= (pci_bar(devfn, n) & (size - 1)) == 0 && pci_bar(devfn, n) != 0;
        n += !(low & 1) && (low & 6) == 4;
    }
    pci_write(devfn, 4, command, 2);
    return sound;
}

/* Ends, stays in its area, and does not visit a place twice (or it would not end). */
static bool capabilities_are_sound(unsigned devfn)
{
    unsigned at = pci_read(devfn, 0x34, 1), count = 0;

    if (!(pci_read(devfn, 6, 2) & 0x10))
        return at == 0;
    for (; at; at = pci_read(devfn, at + 1, 1))
        if (at < 0x40 || (at & 3) || ++count > 48)
            return false;
    return count > 0;
}

static void test_functions(void)
{
    bool bars = true, capabilities = true, interrupts_routed = true;
    unsigned devfn, count = 0;

    for (devfn = 0; devfn < 256; devfn++) {
        if (pci_read(devfn, 0, 2) == 0xffff)
            continue;
        count++;
        bars &= bars_are_sound(devfn);
        capabilities &= capabilities_are_sound(devfn);
        if (pci_read(devfn, 0x3d, 1)) {
            uint8_t line = (uint8_t)pci_read(devfn, 0x3c, 1);

            interrupts_routed &= line == 9 || line == 10 || line == 11;
        }
    }
    check(count >= 3, "the bus has functions");
    check(bars, "all BARs have lawful sizes and places");
    check(capabilities, "all capability lists are sound");
    check(interrupts_routed, "all interrupt pins have a line");
}

int main(void)
{
    test_board();
    test_mechanism();
    test_functions();
    return 0;
}
