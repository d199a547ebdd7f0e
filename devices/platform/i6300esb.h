/*
 * i6300esb.h - the watchdog timer of Intel's 6300ESB I/O controller hub (datasheet 300641, chapter 15): PCI 8086:25ab.
 *
 * Two stages of up to 2^20 ticks of about 1 ms or 1 us. The first may interrupt, the second acts. A driver proves that
 * it is none that runs wild by two magic bytes before each write.
 */
#ifndef DEVICES_PLATFORM_I6300ESB_H
#define DEVICES_PLATFORM_I6300ESB_H

#include "vmm/pci.h"

struct i6300esb_config {
    /* Nobody fed it in time. Main loop's thread, device lock held. */
    void (*expired)(void *opaque);
    void *opaque;
};

struct pci_device *i6300esb_create(struct machine *machine, uint8_t devfn, const struct i6300esb_config *config);

#endif
