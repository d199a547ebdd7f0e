/*
 * pvpanic.h - the port by which a guest says that it panicked (QEMU's docs/specs/pvpanic), 0x505. The DSDT names it
 * (QEMU0001), and drivers read which events it takes before they write one.
 */
#ifndef DEVICES_PLATFORM_PVPANIC_H
#define DEVICES_PLATFORM_PVPANIC_H

#include "vmm/device.h"

#define PVPANIC_PORT 0x505

struct device *pvpanic_create(struct machine *machine);

#endif
