/*
 * debugport.h - the port on which SeaBIOS tells what it does (0x402, Bochs' and QEMU's debug console).
 *
 * Reads give 0xe9, by which firmware knows that somebody listens.
 */
#ifndef DEVICES_PLATFORM_DEBUGPORT_H
#define DEVICES_PLATFORM_DEBUGPORT_H

#include "backend/chardev.h"
#include "vmm/device.h"

/* chardev: the caller's, must outlive the device; NULL: whole lines go to the log at debug level. */
struct device *debugport_create(struct machine *machine, struct chardev *chardev);

#endif
