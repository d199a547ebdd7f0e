#include "devices/platform/debugport.h"

#include "base/log.h"
#include "devices/platform/char_out.h"

#include <stdlib.h>

#define DEBUG_PORT  0x402
#define DEBUG_MAGIC 0xe9
#define LINE_SIZE   200

struct debugport {
    struct device base;
    struct region port;
    struct char_out out;
    char line[LINE_SIZE];
    unsigned length;
};

static void log_byte(struct debugport *debug, char c)
{
    bool printable = c >= ' ' && c <= '~';

    if (printable)
        debug->line[debug->length++] = c;
    if ((c == '\n' || debug->length == LINE_SIZE) && debug->length) {
        log_debug("firmware: %.*s", (int)debug->length, debug->line);
        debug->length = 0;
    }
}

static uint64_t debug_read(void *opaque UNUSED, uint64_t offset UNUSED, unsigned width UNUSED)
{
    return DEBUG_MAGIC;
}

static void debug_write(void *opaque, uint64_t offset UNUSED, uint64_t value, unsigned width UNUSED)
{
    struct debugport *debug = opaque;

    if (debug->out.chardev)
        char_out_put(&debug->out, (uint8_t)value);
    else
        log_byte(debug, (char)value);
}

static const struct region_ops debug_region_ops = {
    .read = debug_read, .write = debug_write, .max_width = 1};

static void writable(void *front)
{
    char_out_writable(&((struct debugport *)front)->out);
}

static size_t can_read(void *front UNUSED)
{
    return 0;
}

static const struct chardev_front_ops front_ops = {.can_read = can_read, .writable = writable};

static void debugport_destroy(struct device *device)
{
    struct debugport *debug = container_of(device, struct debugport, base);

    bus_unmap(device->machine->pio, &debug->port);
    char_out_fini(&debug->out);
    if (debug->out.chardev)
        debug->out.chardev->front_ops = NULL;
    free(debug);
}

static const struct device_ops debugport_ops = {
    .name = "debugport",
    .version = 1,
    .destroy = debugport_destroy,
};

struct device *debugport_create(struct machine *machine, struct chardev *chardev)
{
    struct debugport *debug = calloc(1, sizeof(*debug));

    if (!debug || char_out_init(&debug->out, machine, chardev, NULL, NULL)) {
        free(debug);
        return NULL;
    }
    device_init(&debug->base, &debugport_ops, machine);
    if (chardev) {
        chardev->front = debug;
        chardev->front_ops = &front_ops;
    }
    debug->port = (struct region){"debug port", &debug_region_ops, debug, .size = 1};
    bus_map(machine->pio, &debug->port, DEBUG_PORT);
    return &debug->base;
}
