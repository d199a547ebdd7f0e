/*
 * piix3.h - the ISA bridge (Intel 82371SB, order number 290550): device 00:01.0, 8086:7000.
 *
 * Routes the PCI links PIRQA..D to ISA interrupts (0x60-0x63), and holds the small ports of a PC: reset control 0xcf9,
 * system control 0x92, and the POST and delay port 0x80 among the DMA pages. Interrupt controllers and timer are KVM's,
 * edge/level control (0x4d0, 0x4d1) and port 0x61 with them.
 */
#ifndef DEVICES_PLATFORM_PIIX3_H
#define DEVICES_PLATFORM_PIIX3_H

#include "vmm/pci.h"

/* Makes itself the router of machine->pci. Create it after the PCI bus: port 0xcf9 lies over the bus's. */
struct pci_device *piix3_create(struct machine *machine);

#endif
