#include "devices/platform/smbus.h"

#include <errno.h>
#include <string.h>

enum { HOST_STATUS = 0, HOST_CONTROL = 2 };
enum { STATUS_DEVICE_ERROR = 0x04, STATUS_CLEARABLE = 0x1e };
enum { CONTROL_START = 0x40, CONTROL_STORED = 0x1d };

static uint64_t smbus_read(void *opaque, uint64_t offset, unsigned width UNUSED)
{
    return ((struct smbus *)opaque)->registers[offset];
}

static void smbus_write(void *opaque, uint64_t offset, uint64_t value, unsigned width UNUSED)
{
    uint8_t *registers = ((struct smbus *)opaque)->registers;

    switch (offset) {
    case HOST_STATUS:
        registers[HOST_STATUS] &= (uint8_t) ~(value & STATUS_CLEARABLE);
        break;
    case HOST_CONTROL:
        registers[HOST_CONTROL] = value & CONTROL_STORED;
        if (value & CONTROL_START)
            registers[HOST_STATUS] |= STATUS_DEVICE_ERROR;
        break;
    default:
        registers[offset] = (uint8_t)value;
    }
}

static const struct region_ops smbus_ops = {
    .read = smbus_read, .write = smbus_write, .max_width = 1};

void smbus_init(struct smbus *smbus)
{
    *smbus = (struct smbus){.region = {"smbus", &smbus_ops, smbus, .size = SMBUS_PORTS}};
}

void smbus_reset(struct smbus *smbus)
{
    memset(smbus->registers, 0, sizeof(smbus->registers));
}

void smbus_save(const struct smbus *smbus, struct writer *w)
{
    writer_bytes(w, smbus->registers, sizeof(smbus->registers));
}

int smbus_load(struct smbus *smbus, struct reader *r)
{
    const uint8_t *registers = reader_bytes(r, sizeof(smbus->registers));

    if (!registers)
        return -EINVAL;
    memcpy(smbus->registers, registers, sizeof(smbus->registers));
    return 0;
}
