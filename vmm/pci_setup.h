/*
 * pci_setup.h - what a PC's firmware does to PCI before an operating system starts, for machines booted without one:
 * places the BARs, routes the interrupts, opens the ports of IDE and power management.
 */
#ifndef VMM_PCI_SETUP_H
#define VMM_PCI_SETUP_H

#include "vmm/pci.h"

#define PCI_WINDOW_END 0xfec00000u /* where the room for BARs below 4 GiB ends */

#define PCI_SETUP_PM_BASE 0x600 /* as SeaBIOS places it */

/* Device lock held, vCPUs stopped, just after a reset. mem_start: where the PCI window below 4 GiB begins. */
void pci_setup(struct machine *machine, uint32_t mem_start);
/* Where the memory of this BAR was placed, below 4 GiB; 0: nowhere, or there is no such device. */
uint32_t pci_setup_bar(struct machine *machine, unsigned devfn, unsigned n);

#endif
