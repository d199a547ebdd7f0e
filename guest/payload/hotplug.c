/*
 * What ACPI's methods do about PCI hot plug, without ACPI. It says which devices are there, which come and which it lets
 * go. Over the serial port: 'h' do not let go (and again: do), 'q' the end.
 */
#include "payload.h"

#define GPE_STATUS 0xafe0
#define HOTPLUG    2 /* its event's bit */
#define UP         0xae00
#define DOWN       0xae04
#define EJECT      0xae08
#define FIRST      13
#define LAST       28

#define UART      0x3f8
#define UART_LSR  0x3fd
#define LSR_READY 1

#define PORTS  0xd000     /* 0x80 a slot */
#define MEMORY 0xf0000000 /* 64 KiB a slot */
#define NOTIFY 0x3000     /* in a virtio device's BAR 4: queue 0's */

static unsigned comings, stayed;

static void say(const char *what, unsigned slot)
{
    put(what);
    put(" ");
    put_hex(slot);
    put("\n");
}

static bool is_there(unsigned slot)
{
    return pci_read(slot << 3, 0, 4) != 0xffffffff;
}

/* It answers where it is put: its notifications then lead to the host by KVM's own way. */
static void use(unsigned slot)
{
    unsigned devfn = slot << 3;
    uint64_t memory = MEMORY + (uint64_t)slot * 0x10000;

    pci_write(devfn, 0x10, PORTS + slot * 0x80, 4);
    pci_write(devfn, 0x14, (uint32_t)memory + 0x8000, 4);
    pci_write(devfn, 0x20, (uint32_t)memory, 4);
    pci_write(devfn, 0x04, 7, 2);
    write16(memory + NOTIFY, 0);
    comings++;
}

static void let_go(unsigned slot)
{
    outl(EJECT, 1u << slot);
    stayed += is_there(slot) || read32(MEMORY + (uint64_t)slot * 0x10000) != 0xffffffff;
    say("went", slot);
}

static void look(bool holding)
{
    uint32_t up = inl(UP), down = inl(DOWN);
    unsigned slot;

    for (slot = FIRST; slot <= LAST; slot++) {
        if ((up >> slot & 1) && is_there(slot)) {
            use(slot);
            say("came", slot);
        }
        if (down >> slot & 1 && !holding)
            let_go(slot);
        else if (down >> slot & 1)
            say("keeps", slot);
    }
}

static bool obey(char c, bool *holding)
{
    if (c == 'h') {
        *holding = !*holding;
        put(*holding ? "holding\n" : "obeying\n");
    }
    return c != 'q';
}

int main(void)
{
    bool holding = false, on = true;
    unsigned slot;

    for (slot = FIRST; slot <= LAST; slot++)
        if (is_there(slot)) {
            use(slot);
            say("found", slot);
        }
    put("watching\n");
    while (on) {
        if (inw(GPE_STATUS) & HOTPLUG) {
            outw(GPE_STATUS, HOTPLUG);
            look(holding);
        }
        if (inb(UART_LSR) & LSR_READY)
            on = obey((char)inb(UART), &holding);
    }
    check(comings > 0, "devices came");
    check_equal(stayed, 0, "what was let go was gone at once");
    return 0;
}
