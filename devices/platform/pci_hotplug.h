/*
 * pci_hotplug.h - how ACPI learns that PCI devices come and go (QEMU's docs/specs/acpi_pci_hotplug): registers of 32 bits
 * at port 0xae00, one bit a slot, and general-purpose event 1 that says to look at them.
 *
 *   +0   up      came; reading clears it                     +12  removable  slots that this is possible in
 *   +4   down    shall go; the bit falls when it is ejected  +16  bus        selects a PCI bus; there is only bus 0
 *   +8   eject   a one written takes the device away; reads as the features beyond these: none
 *
 * The methods in vmm/dsdt.asl are the only user. A guest without ACPI's driver never looks, and nothing waits for it: a
 * request to go stays in `down` until the guest ejects, or a reset, at which the owner removes what was to go.
 */
#ifndef DEVICES_PLATFORM_PCI_HOTPLUG_H
#define DEVICES_PLATFORM_PCI_HOTPLUG_H

#include "vmm/pci.h"

#define PCI_HOTPLUG_PORT  0xae00
#define PCI_HOTPLUG_SIZE  20
#define PCI_HOTPLUG_EVENT 1 /* the general-purpose event; method _E01 */

/* The slots that take devices while the machine runs, as the DSDT names them. */
#define PCI_HOTPLUG_FIRST_SLOT 13
#define PCI_HOTPLUG_SLOTS      16

struct pci_hotplug_config {
    struct pci_device *pm; /* the piix4_pm that has the events */
    /* The guest ejects this slot, one of those above, empty or not. In a vCPU's thread, device lock held. */
    void (*ejected)(void *opaque, unsigned slot);
    void *opaque;
};

struct device *pci_hotplug_create(struct machine *machine, const struct pci_hotplug_config *config);

/* Device lock held: tell the guest that a device came to the slot, or ask it to let the one there go. */
void pci_hotplug_plugged(struct device *device, unsigned slot);
void pci_hotplug_ask(struct device *device, unsigned slot);

#endif
