/*
 * i440fx.h - the host bridge (Intel 82441FX, order number 290549): device 00:00.0, 8086:1237.
 *
 * Its PAM registers (0x59-0x5f) say, for each 16 KiB of 0xc0000-0xeffff and for 0xf0000-0xfffff, whether the CPU sees
 * shadow RAM there, writable or not, or what the bus has: the BIOS in the last 128 KiB, nothing before. Adjacent
 * segments in the same state become one memory block, so that few of KVM's slots are used and changed.
 */
#ifndef DEVICES_PLATFORM_I440FX_H
#define DEVICES_PLATFORM_I440FX_H

#include "vmm/pci.h"

#define I440FX_SHADOW_BASE 0xc0000
#define I440FX_SHADOW_SIZE 0x40000
#define I440FX_BIOS_BASE   0xe0000
#define I440FX_BIOS_SIZE   0x20000

struct i440fx_config {
    /* Host memory, page aligned, that outlives the device. */
    uint8_t *shadow; /* I440FX_SHADOW_SIZE bytes of RAM */
    /*
     * The last I440FX_BIOS_SIZE bytes of the ROM below 4 GiB; never written, so that a reboot starts from it. NULL: a
     * machine without firmware, whose shadow RAM is open from the start.
     */
    uint8_t *bios;
};

struct pci_device *i440fx_create(struct machine *machine, const struct i440fx_config *config);

#endif
