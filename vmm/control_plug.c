/* control_plug.c - the commands of --control by which disks, networks and devices come and go. */
#include "base/error.h"
#include "vmm/board_plug.h"
#include "vmm/run_private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *string_of(const json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}

static bool is_true(const json_t *arguments, const char *name)
{
    return json_is_true(json_object_get(arguments, name));
}

/* An optional word that must be one of two; *second says which. */
static int one_of(const json_t *arguments, const char *name, const char *a, const char *b, bool *second)
{
    const char *value = string_of(arguments, name);

    *second = value && strcmp(value, b) == 0;
    return !value || *second || strcmp(value, a) == 0 ? 0 : fail(-EINVAL, "Invalid parameter '%s'", value);
}

/* --- back ends --- */

/* As in QEMU "direct" goes past the host's cache and "no-flush" ignores the guest's flushes. */
static int parse_cache(const json_t *cache, struct disk_options *disk)
{
    const json_t *direct = json_object_get(cache, "direct");

    if (!cache)
        return 0;
    if (direct && !json_is_true(direct))
        disk->cache = DISK_CACHE_WRITEBACK;
    if (is_true(cache, "no-flush"))
        disk->cache = DISK_CACHE_UNSAFE;
    return qmp_check_arguments("direct:b? no-flush:b?", cache);
}

static int parse_file(const json_t *file, struct disk_options *disk)
{
    int err = qmp_check_arguments("driver:s filename:s", file);

    if (err)
        return err;
    if (strcmp(string_of(file, "driver"), "file") != 0)
        return fail(-EINVAL, "Unknown driver '%s' under 'file'; a disk is a file", string_of(file, "driver"));
    disk->path = string_of(file, "filename");
    return 0;
}

int control_blockdev_add(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    const struct run *run = opaque;
    struct disk_options disk = {.format = string_of(arguments, "driver"),
                                .read_only = is_true(arguments, "read-only")};
    int err = 0;

    if (strcmp(disk.format, "qcow2") != 0 && strcmp(disk.format, "raw") != 0)
        return fail(-EINVAL, "Unknown driver '%s'; there are qcow2 and raw", disk.format);
    err = one_of(arguments, "discard", "unmap", "ignore", &disk.ignore_discard);
    if (!err)
        err = parse_cache(json_object_get(arguments, "cache"), &disk);
    if (!err)
        err = parse_file(json_object_get(arguments, "file"), &disk);
    return err ? err : board_add_disk(run->board, string_of(arguments, "node-name"), &disk);
}

int control_blockdev_del(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    return board_remove_backend(((struct run *)opaque)->board, BOARD_DISK, string_of(arguments, "node-name"));
}

int control_netdev_add(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    const json_t *ipv6 = json_object_get(arguments, "ipv6");
    struct net_user_options net = {.restricted = is_true(arguments, "restrict"),
                                   .no_ipv6 = ipv6 && !json_is_true(ipv6)};

    if (strcmp(string_of(arguments, "type"), "user") != 0)
        return fail(-EINVAL, "Invalid parameter '%s'; a network that is added has type user",
                    string_of(arguments, "type"));
    return board_add_net(((struct run *)opaque)->board, string_of(arguments, "id"), &net);
}

int control_netdev_del(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    return board_remove_backend(((struct run *)opaque)->board, BOARD_NET, string_of(arguments, "id"));
}

/* --- devices --- */

/* QEMU writes it in hexadecimal: "0x10", "10", "10.0". */
static int parse_address(const json_t *arguments, unsigned *slot)
{
    const char *bus = string_of(arguments, "bus"), *addr = string_of(arguments, "addr");
    char *end;

    if (bus && strcmp(bus, "pci.0") != 0)
        return fail(-ENODEV, "Bus '%s' not found", bus);
    if (!addr)
        return 0;
    *slot = (unsigned)MIN(strtoul(addr, &end, 16), 32ul);
    if (end == addr || (*end && strcmp(end, ".0") != 0) || !*slot)
        return fail(-EINVAL, "Parameter 'addr' expects a slot in hexadecimal, such as 0x%x, function 0 if any", 0x10);
    return 0;
}

/* What belongs to the one kind of device, and must not be there for the other. */
static int parse_kind(const json_t *arguments, struct board_device *device)
{
    static const struct {
        const char *driver, *backend, *others[3];
    } kinds[] = {[BOARD_DISK] = {"virtio-blk-pci", "drive", {"netdev", "mac"}},
                 [BOARD_NET] = {"virtio-net-pci", "netdev", {"drive", "serial", "num-queues"}}};
    const char *driver = string_of(arguments, "driver");
    unsigned i = strcmp(driver, kinds[BOARD_NET].driver) == 0 ? BOARD_NET : BOARD_DISK, n;

    if (strcmp(driver, kinds[i].driver) != 0)
        return fail(-EINVAL, "'%s' is not a valid device model name; there are virtio-blk-pci and virtio-net-pci", driver);
    for (n = 0; n < ARRAY_SIZE(kinds[i].others) && kinds[i].others[n]; n++)
        if (json_object_get(arguments, kinds[i].others[n]))
            return fail(-EINVAL, "Property '%s.%s' not found", driver, kinds[i].others[n]);
    device->kind = i;
    device->backend = string_of(arguments, kinds[i].backend);
    return device->backend ? 0 : fail(-EINVAL, "Parameter '%s' is missing", kinds[i].backend);
}

static int parse_queues(const json_t *arguments, unsigned *queues)
{
    const json_t *number = json_object_get(arguments, "num-queues");

    if (number && json_integer_value(number) < 1)
        return fail(-EINVAL, "Parameter 'num-queues' expects a number from 1 on");
    *queues = (unsigned)MIN(json_integer_value(number), UINT_MAX);
    return 0;
}

int control_device_add(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    const char *mac = string_of(arguments, "mac");
    struct board_device device = {.id = string_of(arguments, "id"),
                                  .serial = string_of(arguments, "serial")};
    uint8_t address[6];
    int err = parse_kind(arguments, &device);

    if (!err)
        err = parse_address(arguments, &device.slot);
    if (!err)
        err = parse_queues(arguments, &device.queues);
    if (!err && mac) {
        err = net_parse_mac(address, mac);
        device.mac = address;
    }
    return err ? err : board_plug(((struct run *)opaque)->board, &device);
}

int control_device_del(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    return board_unplug(((struct run *)opaque)->board, string_of(arguments, "id"));
}

void control_unplugged(void *opaque, const char *id)
{
    const struct run *run = opaque;
    char path[BOARD_MAX_ID + 32];

    snprintf(path, sizeof(path), "/machine/peripheral/%s", id);
    qmp_event(run->qmp, "DEVICE_DELETED", json_pack("{s:s, s:s}", "device", id, "path", path));
}
