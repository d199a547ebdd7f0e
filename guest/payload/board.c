/* The board's parts that several payloads use: PCI, fw_cfg, the clock's memory. */
#include "payload.h"

uint32_t pci_read(unsigned devfn, unsigned offset, unsigned width)
{
    uint16_t port = (uint16_t)(0xcfc + (offset & 3));

    outl(0xcf8, 0x80000000 | devfn << 8 | (offset & 0xfc));
    return width == 1 ? inb(port) : width == 2 ? inw(port) : inl(port);
}

void pci_write(unsigned devfn, unsigned offset, uint32_t value, unsigned width)
{
    uint16_t port = (uint16_t)(0xcfc + (offset & 3));

    outl(0xcf8, 0x80000000 | devfn << 8 | (offset & 0xfc));
    if (width == 1)
        outb(port, (uint8_t)value);
    else if (width == 2)
        outw(port, (uint16_t)value);
    else
        outl(port, value);
}

int pci_find(uint16_t vendor, uint16_t device)
{
    unsigned devfn;

    for (devfn = 0; devfn < 256; devfn++)
        if (pci_read(devfn, 0, 4) == ((uint32_t)device << 16 | vendor))
            return (int)devfn;
    return -1;
}

unsigned pci_capability(unsigned devfn, uint8_t id, unsigned after)
{
    unsigned at = pci_read(devfn, after ? after + 1 : 0x34, 1), budget = 48;

    while (at && pci_read(devfn, at, 1) != id && --budget)
        at = pci_read(devfn, at + 1, 1);
    return budget ? at : 0;
}

uint64_t pci_bar(unsigned devfn, unsigned n)
{
    uint32_t low = pci_read(devfn, 0x10 + 4 * n, 4);

    if (low & 1)
        return low & ~3u;
    if ((low & 6) == 4)
        return (uint64_t)pci_read(devfn, 0x14 + 4 * n, 4) << 32 | (low & ~15u);
    return low & ~15u;
}

void fw_cfg_read(uint16_t key, void *data, size_t size)
{
    uint8_t *p = data;

    outw(0x510, key);
    while (size--)
        *p++ = inb(0x511);
}

uint16_t fw_cfg_find(const char *name, uint32_t *size)
{
    struct {
        uint32_t size;
        uint16_t key, reserved;
        char name[56];
    } file;
    uint32_t count, i, n;

    fw_cfg_read(0x19, &count, sizeof(count));
    for (i = 0; i < __builtin_bswap32(count); i++) {
        for (n = 0; n < sizeof(file); n++)
            ((uint8_t *)&file)[n] = inb(0x511);
        *size = __builtin_bswap32(file.size);
        if (strcmp(file.name, name) == 0)
            return __builtin_bswap16(file.key);
    }
    return 0;
}

unsigned cpu_count(void)
{
    uint16_t count;

    fw_cfg_read(5, &count, sizeof(count));
    return count;
}

uint8_t rtc_read(uint8_t index)
{
    outb(0x70, index);
    return inb(0x71);
}

void rtc_write(uint8_t index, uint8_t value)
{
    outb(0x70, index);
    outb(0x71, value);
}
