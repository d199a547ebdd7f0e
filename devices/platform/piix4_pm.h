/*
 * piix4_pm.h - power management and SMBus (Intel 82371AB, order number 290562): device 00:01.3, 8086:7113.
 *
 * ACPI 1.0 fixed hardware at the base in configuration register 0x40, which firmware may move: PM1 event (+0), control
 * (+4), timer (+8, 24 bits, 3.579545 MHz); general-purpose events at PIIX4_PM_GPE0; SMI commands at 0xb2. There is no
 * SMM behind them: the two ACPI commands switch SCI_EN at once. The SMBus has no devices: each transfer fails cleanly.
 */
#ifndef DEVICES_PLATFORM_PIIX4_PM_H
#define DEVICES_PLATFORM_PIIX4_PM_H

#include "vmm/pci.h"

/* For the FADT and the DSDT. */
#define PIIX4_PM_SCI          9
#define PIIX4_PM_GPE0         0xafe0
#define PIIX4_PM_GPE0_SIZE    4
#define PIIX4_PM_TIMER        8 /* from the base */
#define PIIX4_PM_SMI_CMD      0xb2
#define PIIX4_PM_ACPI_ENABLE  0xf1
#define PIIX4_PM_ACPI_DISABLE 0xf0
#define PIIX4_PM_SLP_TYP_S5   0

struct pci_device *piix4_pm_create(struct machine *machine);

/* Where the PM1 block is now; 0 while the guest has it disabled. Device lock held. */
uint16_t piix4_pm_base(struct pci_device *pci);
/* The power button was pressed: the guest is told if it listens. Any thread. */
void piix4_pm_power_button(struct pci_device *pci);
/* General-purpose event n, 0..15: its status is set until the guest clears it. Any thread. */
void piix4_pm_general_event(struct pci_device *pci, unsigned n);

#endif
