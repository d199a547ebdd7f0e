/* control.c - the commands of --control, by QEMU's names; `save` is minivm's own. */
#include "base/error.h"
#include "backend/screenshot.h"
#include "devices/virtio/virtio_balloon.h"
#include "vmm/board_plug.h"
#include "vmm/run_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *string_of(const json_t *arguments, const char *name)
{
    return json_string_value(json_object_get(arguments, name));
}

/* --- questions --- */

static int query_status(void *opaque, const json_t *arguments UNUSED, json_t **result)
{
    const struct run *run = opaque;

    *result = json_pack("{s:s, s:b, s:b}", "status", run_state_name(opaque), "running", board_running(run->board),
                        "singlestep", 0);
    return 0;
}

static int query_name(void *opaque, const json_t *arguments UNUSED, json_t **result)
{
    const struct run *run = opaque;

    *result = json_pack("{s:s}", "name", run->config->name);
    return 0;
}

static int query_kvm(void *opaque UNUSED, const json_t *arguments UNUSED, json_t **result)
{
    *result = json_pack("{s:b, s:b}", "enabled", 1, "present", 1);
    return 0;
}

/* --- life --- */

static int stop(void *opaque, const json_t *arguments UNUSED, json_t **result UNUSED)
{
    run_pause(opaque);
    return 0;
}

static int cont(void *opaque, const json_t *arguments UNUSED, json_t **result UNUSED)
{
    return run_resume(opaque);
}

static int system_reset(void *opaque, const json_t *arguments UNUSED, json_t **result UNUSED)
{
    return run_reset(opaque);
}

static int system_powerdown(void *opaque, const json_t *arguments UNUSED, json_t **result UNUSED)
{
    run_power_down(opaque);
    return 0;
}

static int quit(void *opaque, const json_t *arguments UNUSED, json_t **result UNUSED)
{
    run_quit(opaque);
    return 0;
}

static int save(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    int err = run_save(opaque, string_of(arguments, "filename"));

    return err ? err : QMP_LATER;
}

/* --- devices --- */

/* The drive that "device" or "id" names, as QEMU names those of a PC. */
static int find_cdrom(const json_t *arguments, unsigned *n)
{
    static const char *const names[CONFIG_MAX_CDROMS] = {"ide1-cd0", "ide1-cd1"};
    const char *device = string_of(arguments, "device"), *id = string_of(arguments, "id");
    const char *name = id ? id : device;

    if (!name)
        return fail(-EINVAL, "Either 'id' or 'device' must be specified");
    for (*n = 0; *n < ARRAY_SIZE(names); (*n)++)
        if (strcmp(names[*n], name) == 0)
            return 0;
    return fail(-ENODEV, "Device '%s' not found", name);
}

static int change_medium(struct run *run, const json_t *arguments, const char *path)
{
    bool force = json_is_true(json_object_get(arguments, "force"));
    unsigned n;
    int err = find_cdrom(arguments, &n);

    return err ? err : board_change_cdrom(run->board, n, path, force);
}

static int eject(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    return change_medium(opaque, arguments, NULL);
}

static int blockdev_change_medium(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    return change_medium(opaque, arguments, string_of(arguments, "filename"));
}

static int find_balloon(const struct run *run, struct virtio_balloon **balloon)
{
    *balloon = board_balloon(run->board);
    return *balloon ? 0 : fail(-ENODEV, "No balloon device has been activated");
}

static int balloon(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    json_int_t bytes = json_integer_value(json_object_get(arguments, "value"));
    struct virtio_balloon *balloon;
    int err = find_balloon(opaque, &balloon);

    if (!err && bytes <= 0)
        err = fail(-EINVAL, "Parameter 'target' expects a size");
    if (!err)
        virtio_balloon_set_target(balloon, (uint64_t)bytes);
    return err;
}

static int query_balloon(void *opaque, const json_t *arguments UNUSED, json_t **result)
{
    struct virtio_balloon *balloon;
    struct balloon_stats stats;
    int err = find_balloon(opaque, &balloon);

    if (err)
        return err;
    virtio_balloon_stats(balloon, &stats);
    *result = json_pack("{s:I}", "actual", (json_int_t)stats.actual);
    return 0;
}

/* --- pictures --- */

/* "video0" is the first; no name means that. */
static int find_display(const struct run *run, const char *device, struct display **display)
{
    unsigned n = 0;
    int end = 0;

    if (device && (sscanf(device, "video%1u%n", &n, &end) != 1 || device[end] || n >= BOARD_MAX_DISPLAYS))
        return fail(-ENODEV, "Device '%s' not found", device);
    *display = board_display(run->board, n);
    return *display ? 0 : fail(-ENODEV, "There is no console to take a screendump from");
}

static int screendump(void *opaque, const json_t *arguments, json_t **result UNUSED)
{
    const struct run *run = opaque;
    const char *format = string_of(arguments, "format"), *path = string_of(arguments, "filename");
    struct display *display;
    int err = run_check_output(run, path);

    if (!err)
        err = find_display(run, string_of(arguments, "device"), &display);
    if (err)
        return err;
    if (format && strcmp(format, "png") != 0 && strcmp(format, "ppm") != 0)
        return fail(-EINVAL, "Invalid parameter '%s'", format);
    return screenshot_write(display, path,
                            format && strcmp(format, "png") == 0 ? SCREENSHOT_PNG : SCREENSHOT_PPM);
}

static const struct qmp_command commands[] = {
    {"query-status", "", query_status},
    {"query-name", "", query_name},
    {"query-kvm", "", query_kvm},
    {"query-block", "", control_query_block},
    {"query-blockstats", "query-nodes:b?", control_query_blockstats},
    {"stop", "", stop},
    {"cont", "", cont},
    {"system_reset", "", system_reset},
    {"system_powerdown", "", system_powerdown},
    {"quit", "", quit},
    {"save", "filename:s", save},
    {"eject", "device:s? id:s? force:b?", eject},
    {"blockdev-change-medium", "device:s? id:s? filename:s force:b?", blockdev_change_medium},
    {"blockdev-add", "driver:s node-name:s file:o read-only:b? discard:s? cache:o?", control_blockdev_add},
    {"blockdev-del", "node-name:s", control_blockdev_del},
    {"netdev_add", "type:s id:s restrict:b? ipv6:b?", control_netdev_add},
    {"netdev_del", "id:s", control_netdev_del},
    {"device_add", "driver:s id:s drive:s? netdev:s? serial:s? mac:s? num-queues:i? bus:s? addr:s?", control_device_add},
    {"device_del", "id:s", control_device_del},
    {"balloon", "value:i", balloon},
    {"query-balloon", "", query_balloon},
    {"set_password", "protocol:s password:s connected:s?", control_set_password},
    {"expire_password", "protocol:s time:s", control_expire_password},
    {"client_migrate_info", "protocol:s hostname:s port:i? tls-port:i? cert-subject:s?", control_client_migrate_info},
    {"screendump", "filename:s format:s? device:s?", screendump},
};

int control_start(struct run *run)
{
    const char *path = run->config->relayed || run->link ? NULL : run->config->control;
    int err = 0;

    if (!run->config->control)
        return 0;
    board_on_unplugged(run->board, control_unplugged, run);
    if (run->link && !run->config->relayed)
        err = broker_listen(run->link);
    return err ? err : qmp_create(&run->qmp, &run->loop, path, commands, ARRAY_SIZE(commands), run);
}
