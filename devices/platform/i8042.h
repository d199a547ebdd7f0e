/*
 * i8042.h - the keyboard controller (Intel 8042 as in the PC/AT and PS/2), ports 0x60 and 0x64, IRQ 1 and 12, with a
 * keyboard on its first port and a wheel mouse on its second (ps2.h).
 *
 * One byte at a time waits in the output buffer, with its source in the status register; it stays until port 0x60 is
 * read, so a guest may poll or use interrupts.
 */
#ifndef DEVICES_PLATFORM_I8042_H
#define DEVICES_PLATFORM_I8042_H

#include "backend/input.h"
#include "vmm/device.h"

/* Registers itself as a keyboard and relative pointer; `input` must outlive it. */
struct device *i8042_create(struct machine *machine, struct input *input);

#endif
