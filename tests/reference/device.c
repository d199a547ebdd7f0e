#include "tests/reference/device.h"

#include "base/log.h"
#include "tests/reference/core.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RING_SIZE 32 /* QXL_COMMAND_RING_SIZE, QXL_CURSOR_RING_SIZE */

struct ring {
    QXLCommand items[RING_SIZE];
    unsigned head, tail;
    bool wanted; /* the server sleeps until it is woken */
    bool done;   /* the server has come back for more, and found nothing */
    pthread_cond_t changed;
};

static struct device {
    struct device_settings settings;
    SpiceServer *server;
    QXLInstance qxl;
    SpiceKbdInstance keyboard;
    pthread_mutex_t lock; /* guards the rest */
    struct ring commands, cursors;
    bool has_primary;
    unsigned clients;
    pthread_cond_t came;
} device = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .commands = {.wanted = true, .changed = PTHREAD_COND_INITIALIZER},
    .cursors = {.wanted = true, .changed = PTHREAD_COND_INITIALIZER},
    .came = PTHREAD_COND_INITIALIZER,
};

/* ---- the rings ---- */

static void push(struct ring *r, uint32_t type, const void *command)
{
    bool wake;

    pthread_mutex_lock(&device.lock);
    while (r->tail - r->head == RING_SIZE)
        pthread_cond_wait(&r->changed, &device.lock);
    r->items[r->tail++ % RING_SIZE] = (QXLCommand){.data = (uintptr_t)command, .type = type};
    wake = r->wanted || device.settings.one_by_one;
    r->wanted = r->done = false;
    pthread_mutex_unlock(&device.lock);
    if (wake)
        spice_qxl_wakeup(&device.qxl);
}

/* What it does then is to send. */
static void wait_for_server(struct ring *r)
{
    pthread_mutex_lock(&device.lock);
    while (!r->done)
        pthread_cond_wait(&r->changed, &device.lock);
    pthread_mutex_unlock(&device.lock);
}

static int pop(struct ring *r, QXLCommandExt *e)
{
    bool some;

    *e = (QXLCommandExt){0};
    pthread_mutex_lock(&device.lock);
    some = r->head != r->tail;
    if (some)
        e->cmd = r->items[r->head++ % RING_SIZE];
    r->done |= !some;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&device.lock);
    return some;
}

static int want(struct ring *r)
{
    bool empty;

    pthread_mutex_lock(&device.lock);
    empty = r->head == r->tail;
    r->wanted |= empty;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&device.lock);
    return empty;
}

static int get_command(QXLInstance *qxl UNUSED, QXLCommandExt *e)
{
    return pop(&device.commands, e);
}

static int want_command(QXLInstance *qxl UNUSED)
{
    return want(&device.commands);
}

static int get_cursor(QXLInstance *qxl UNUSED, QXLCommandExt *e)
{
    return pop(&device.cursors, e);
}

static int want_cursor(QXLInstance *qxl UNUSED)
{
    return want(&device.cursors);
}

void device_push(uint32_t type, const void *command)
{
    push(&device.commands, type, command);
    if (device.settings.one_by_one)
        wait_for_server(&device.commands);
}

void device_push_cursor(const QXLCursorCmd *command)
{
    push(&device.cursors, QXL_CMD_CURSOR, command);
}

void device_update(uint32_t surface, uint32_t width, uint32_t height)
{
    spice_qxl_update_area(&device.qxl, surface, &(QXLRect){.right = (int32_t)width, .bottom = (int32_t)height}, NULL, 0,
                          0);
}

void device_primary(uint32_t width, uint32_t height, int32_t stride, uint32_t format, void *memory)
{
    QXLDevSurfaceCreate create = {.width = width,
                                  .height = height,
                                  .stride = stride,
                                  .format = format,
                                  .mouse_mode = 1,
                                  .flags = QXL_SURF_FLAG_KEEP_DATA,
                                  .type = QXL_SURF_TYPE_PRIMARY,
                                  .mem = (uintptr_t)memory};

    if (device.has_primary)
        spice_qxl_destroy_primary_surface(&device.qxl, 0);
    device.has_primary = true;
    spice_qxl_create_primary_surface(&device.qxl, 0, &create);
}

/* ---- the device, as the server wants it ---- */

static void init_info(QXLInstance *qxl UNUSED, QXLDevInitInfo *info)
{
    *info = (QXLDevInitInfo){.num_memslots_groups = 1,
                             .num_memslots = 1,
                             .memslot_gen_bits = 1,
                             .memslot_id_bits = 1,
                             .n_surfaces = device.settings.surfaces};
}

static void attached(QXLInstance *qxl)
{
    QXLDevMemSlot slot = {.virt_end = ~(uintptr_t)0, .qxl_ram_size = ~0u};

    spice_qxl_add_memslot(qxl, &slot);
}

static void set_level(QXLInstance *qxl UNUSED, int level UNUSED)
{
}

static void set_number(QXLInstance *qxl UNUSED, uint32_t v UNUSED)
{
}

static void release(QXLInstance *qxl UNUSED, QXLReleaseInfoExt info UNUSED)
{
}

static int no_flush(QXLInstance *qxl UNUSED)
{
    return 0;
}

static void updated(QXLInstance *qxl UNUSED, uint32_t surface UNUSED, QXLRect *rects UNUSED, uint32_t count UNUSED)
{
}

static void completed(QXLInstance *qxl UNUSED, uint64_t cookie UNUSED)
{
}

static void client_caps(QXLInstance *qxl UNUSED, uint8_t present, uint8_t caps[SPICE_CAPABILITIES_SIZE] UNUSED)
{
    pthread_mutex_lock(&device.lock);
    device.clients += present != 0;
    pthread_cond_broadcast(&device.came);
    pthread_mutex_unlock(&device.lock);
}

void device_wait_for_clients(unsigned count)
{
    pthread_mutex_lock(&device.lock);
    while (device.clients < count)
        pthread_cond_wait(&device.came, &device.lock);
    pthread_mutex_unlock(&device.lock);
}

static const QXLInterface qxl_interface = {
    .base = {SPICE_INTERFACE_QXL, "device", SPICE_INTERFACE_QXL_MAJOR, SPICE_INTERFACE_QXL_MINOR},
    .attached_worker = attached,
    .set_compression_level = set_level,
    .set_mm_time = set_number,
    .get_init_info = init_info,
    .get_command = get_command,
    .req_cmd_notification = want_command,
    .release_resource = release,
    .get_cursor_command = get_cursor,
    .req_cursor_notification = want_cursor,
    .notify_update = set_number,
    .flush_resources = no_flush,
    .async_complete = completed,
    .update_area_complete = updated,
    .set_client_capabilities = client_caps,
};

static void scancode(SpiceKbdInstance *keyboard UNUSED, uint8_t code)
{
    if (device.settings.scancode)
        device.settings.scancode(code);
}

static uint8_t leds(SpiceKbdInstance *keyboard UNUSED)
{
    return 0;
}

static const SpiceKbdInterface keyboard_interface = {
    .base = {SPICE_INTERFACE_KEYBOARD, "device", SPICE_INTERFACE_KEYBOARD_MAJOR, SPICE_INTERFACE_KEYBOARD_MINOR},
    .push_scan_freg = scancode,
    .get_leds = leds,
};

/* ---- settings ---- */

void device_settings_init(struct device_settings *s)
{
    *s = (struct device_settings){.host = "127.0.0.1",
                                  .port = 5930,
                                  .compression = SPICE_IMAGE_COMPRESSION_AUTO_GLZ,
                                  .jpeg = SPICE_WAN_COMPRESSION_NEVER,
                                  .zlib = SPICE_WAN_COMPRESSION_NEVER,
                                  .streaming = SPICE_STREAM_VIDEO_OFF,
                                  .surfaces = 1024};
}

static int one_of(const char *value, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (names[i] && !strcmp(value, names[i]))
            return i;
    die("'%s' is no value of that option", value);
}

bool device_option(struct device_settings *s, int c, const char *value)
{
    static const char *const compressions[] = {NULL, "off", "auto_glz", "auto_lz", "quic", "glz", "lz", "lz4"};
    static const char *const wan[] = {NULL, "auto", "always", "never"};
    static const char *const streams[] = {NULL, "off", "all", "filter"};

    switch (c) {
    case 'h':
        s->host = value;
        return true;
    case 'P':
        s->port = atoi(value);
        return true;
    case 'c':
        s->compression = one_of(value, compressions, ARRAY_SIZE(compressions));
        return true;
    case 'j':
        s->jpeg = one_of(value, wan, ARRAY_SIZE(wan));
        return true;
    case 'z':
        s->zlib = one_of(value, wan, ARRAY_SIZE(wan));
        return true;
    case 's':
        s->streaming = one_of(value, streams, ARRAY_SIZE(streams));
        return true;
    case 'C':
        s->codecs = value;
        return true;
    default:
        return false;
    }
}

QXLInstance *device_start(struct loop *loop, const struct device_settings *s)
{
    SpiceServer *server = device.server = spice_server_new();

    device.settings = *s;
    spice_server_set_addr(server, s->host, SPICE_ADDR_FLAG_IPV4_ONLY);
    spice_server_set_port(server, s->port);
    spice_server_set_noauth(server);
    spice_server_set_image_compression(server, (SpiceImageCompression)s->compression);
    spice_server_set_jpeg_compression(server, (spice_wan_compression_t)s->jpeg);
    spice_server_set_zlib_glz_compression(server, (spice_wan_compression_t)s->zlib);
    spice_server_set_streaming_video(server, s->streaming);
    if (s->codecs && spice_server_set_video_codecs(server, s->codecs))
        die("libspice-server knows no codecs '%s'", s->codecs);
    device.qxl.base.sif = &qxl_interface.base;
    device.keyboard.base.sif = &keyboard_interface.base;
    if (spice_server_init(server, core_on_loop(loop)) ||
        spice_server_add_interface(server, &device.keyboard.base) ||
        spice_server_add_interface(server, &device.qxl.base))
        die("libspice-server does not start on port %d", s->port);
    spice_server_vm_start(server);
    return &device.qxl;
}

SpiceServer *device_server(void)
{
    return device.server;
}
