#include "devices/platform/pvpanic.h"

#include "base/log.h"

#include <stdlib.h>

enum {
    PANICKED = 1,     /* the guest is at its end */
    CRASH_LOADED = 2, /* it panicked, and a kernel of its own now writes the dump */
};

struct pvpanic {
    struct device base;
    struct region port;
};

static uint64_t pvpanic_read(void *opaque UNUSED, uint64_t offset UNUSED, unsigned width UNUSED)
{
    return PANICKED | CRASH_LOADED;
}

static void pvpanic_write(void *opaque, uint64_t offset UNUSED, uint64_t value, unsigned width UNUSED)
{
    struct machine *machine = ((struct pvpanic *)opaque)->base.machine;

    if (value & PANICKED)
        machine->request(machine, MACHINE_CRASH);
    else if (value & CRASH_LOADED)
        log_once(LOG_WARN, "the guest crashed, and saves its memory for itself");
}

static const struct region_ops region_ops = {.read = pvpanic_read, .write = pvpanic_write, .max_width = 1};

static void pvpanic_destroy(struct device *device)
{
    struct pvpanic *panic = container_of(device, struct pvpanic, base);

    bus_unmap(device->machine->pio, &panic->port);
    free(panic);
}

static const struct device_ops pvpanic_ops = {.name = "pvpanic", .version = 1, .destroy = pvpanic_destroy};

struct device *pvpanic_create(struct machine *machine)
{
    struct pvpanic *panic = calloc(1, sizeof(*panic));

    if (!panic)
        return NULL;
    device_init(&panic->base, &pvpanic_ops, machine);
    panic->port = (struct region){"pvpanic", &region_ops, panic, .size = 1};
    bus_map(machine->pio, &panic->port, PVPANIC_PORT);
    return &panic->base;
}
