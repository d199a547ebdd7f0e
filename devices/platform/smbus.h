/*
 * smbus.h - the SMBus host controller inside the PIIX4 (82371AB, section 11.3), on a bus without devices.
 *
 * Firmware and drivers look for memory modules and sensors here: each transfer ends at once with "no answer".
 */
#ifndef DEVICES_PLATFORM_SMBUS_H
#define DEVICES_PLATFORM_SMBUS_H

#include "vmm/bus.h"

#include "base/bytes.h"

#define SMBUS_PORTS 16

struct smbus {
    struct region region; /* for its owner to map */
    uint8_t registers[SMBUS_PORTS];
};

void smbus_init(struct smbus *smbus);
void smbus_reset(struct smbus *smbus);
void smbus_save(const struct smbus *smbus, struct writer *w);
int smbus_load(struct smbus *smbus, struct reader *r);

#endif
