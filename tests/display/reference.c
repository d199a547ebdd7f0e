/*
 * reference.c - libspice-server with a guest that plays a scene: the other side of tests/bench/display.
 *
 * Like ours.c, with the server's own renderer and no device between: commands are handed over where they are, through two
 * rings as long as the device's, and guest memory is the script's.
 */
#include "base/error.h"
#include "base/log.h"
#include "tests/display/player.h"
#include "tests/reference/core.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RING_SIZE 32 /* QXL_COMMAND_RING_SIZE, QXL_CURSOR_RING_SIZE */
#define SURFACES  1024

struct ring {
    QXLCommand items[RING_SIZE];
    unsigned head, tail;
    bool wanted; /* the server sleeps until it is woken */
    pthread_cond_t room;
};

struct reference {
    struct loop loop;
    SpiceServer *server;
    QXLInstance qxl;
    SpiceKbdInstance keyboard;
    const struct scene *scene;
    struct player player;
    pthread_mutex_t lock; /* guards the rings */
    struct ring commands, cursors;
    bool has_primary;
};

static struct reference reference = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .commands = {.wanted = true, .room = PTHREAD_COND_INITIALIZER},
    .cursors = {.wanted = true, .room = PTHREAD_COND_INITIALIZER},
};

/* ---- the rings ---- */

static void push(struct ring *r, uint32_t type, const void *command)
{
    bool wake;

    pthread_mutex_lock(&reference.lock);
    while (r->tail - r->head == RING_SIZE)
        pthread_cond_wait(&r->room, &reference.lock);
    r->items[r->tail++ % RING_SIZE] = (QXLCommand){.data = (uintptr_t)command, .type = type};
    wake = r->wanted;
    r->wanted = false;
    pthread_mutex_unlock(&reference.lock);
    if (wake)
        spice_qxl_wakeup(&reference.qxl);
}

static int pop(struct ring *r, QXLCommandExt *e)
{
    bool some;

    *e = (QXLCommandExt){0};
    pthread_mutex_lock(&reference.lock);
    some = r->head != r->tail;
    if (some)
        e->cmd = r->items[r->head++ % RING_SIZE];
    pthread_cond_signal(&r->room);
    pthread_mutex_unlock(&reference.lock);
    return some;
}

static int want(struct ring *r)
{
    bool empty;

    pthread_mutex_lock(&reference.lock);
    empty = r->head == r->tail;
    r->wanted |= empty;
    pthread_mutex_unlock(&reference.lock);
    return empty;
}

static int get_command(QXLInstance *qxl UNUSED, QXLCommandExt *e)
{
    return pop(&reference.commands, e);
}

static int want_command(QXLInstance *qxl UNUSED)
{
    return want(&reference.commands);
}

static int get_cursor(QXLInstance *qxl UNUSED, QXLCommandExt *e)
{
    return pop(&reference.cursors, e);
}

static int want_cursor(QXLInstance *qxl UNUSED)
{
    return want(&reference.cursors);
}

/* ---- the guest ---- */

static int primary(const struct script_primary *p)
{
    size_t size = (size_t)p->stride * p->height;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    QXLDevSurfaceCreate create = {.width = p->width,
                                  .height = p->height,
                                  .stride = (int32_t)p->stride,
                                  .format = p->format,
                                  .mouse_mode = 1,
                                  .flags = QXL_SURF_FLAG_KEEP_DATA,
                                  .type = QXL_SURF_TYPE_PRIMARY,
                                  .mem = (uintptr_t)memory};

    if (memory == MAP_FAILED)
        return fail(-1, "no memory for the screen");
    memcpy(memory, p->pixels, size);
    if (reference.has_primary)
        spice_qxl_destroy_primary_surface(&reference.qxl, 0);
    reference.has_primary = true;
    spice_qxl_create_primary_surface(&reference.qxl, 0, &create);
    return 0;
}

static int step(void *device UNUSED, const struct step *s)
{
    QXLInstance *qxl = &reference.qxl;

    switch (s->kind) {
    case STEP_PRIMARY:
        return primary(s->primary);
    case STEP_DRAW:
        push(&reference.commands, QXL_CMD_DRAW, s->draw);
        return 0;
    case STEP_SURFACE:
        push(&reference.commands, QXL_CMD_SURFACE, s->surface);
        return 0;
    case STEP_CURSOR:
        push(&reference.cursors, QXL_CMD_CURSOR, s->cursor);
        return 0;
    case STEP_CURSOR_RESET:
        spice_qxl_reset_cursor(qxl);
        return 0;
    case STEP_MONITORS:
        spice_qxl_monitors_config_async(qxl, (uintptr_t)s->monitors, 0, 0);
        return 0;
    case STEP_UPDATE_AREA:
        spice_qxl_update_area(qxl, s->update->surface, (QXLRect *)&s->update->area, NULL, 0, 0);
        return 0;
    case STEP_FLUSH:
        spice_qxl_flush_surfaces_async(qxl, 0);
        return 0;
    case STEP_OOM:
        spice_qxl_oom(qxl);
        return 0;
    case STEP_RESET_IMAGE_CACHE:
        spice_qxl_reset_image_cache(qxl);
        return 0;
    }
    return fail(-1, "unknown step %u", s->kind);
}

/* ---- the device, as the server wants it ---- */

static void init_info(QXLInstance *qxl UNUSED, QXLDevInitInfo *info)
{
    *info = (QXLDevInitInfo){.num_memslots_groups = 1,
                             .num_memslots = 1,
                             .memslot_gen_bits = 1,
                             .memslot_id_bits = 1,
                             .n_surfaces = MAX(SURFACES, reference.scene->script->surfaces)};
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

static void client_caps(QXLInstance *qxl UNUSED, uint8_t present UNUSED, uint8_t caps[SPICE_CAPABILITIES_SIZE] UNUSED)
{
}

static const QXLInterface qxl_interface = {
    .base = {SPICE_INTERFACE_QXL, "player", SPICE_INTERFACE_QXL_MAJOR, SPICE_INTERFACE_QXL_MINOR},
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
    player_scancode(&reference.player, code);
}

static uint8_t leds(SpiceKbdInstance *keyboard UNUSED)
{
    return 0;
}

static const SpiceKbdInterface keyboard_interface = {
    .base = {SPICE_INTERFACE_KEYBOARD, "player", SPICE_INTERFACE_KEYBOARD_MAJOR, SPICE_INTERFACE_KEYBOARD_MINOR},
    .push_scan_freg = scancode,
    .get_leds = leds,
};

/* ---- options ---- */

struct settings {
    const char *host;
    int port, compression, jpeg, zlib, streaming;
    const char *codecs;
};

static int one_of(const char *value, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (names[i] && !strcmp(value, names[i]))
            return i;
    die("'%s' is no value of that option", value);
}

static bool settings_option(struct settings *s, int c, const char *value)
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

static void start(const struct settings *s)
{
    SpiceServer *server = reference.server = spice_server_new();

    spice_server_set_addr(server, s->host, SPICE_ADDR_FLAG_IPV4_ONLY);
    spice_server_set_port(server, s->port);
    spice_server_set_noauth(server);
    spice_server_set_image_compression(server, (SpiceImageCompression)s->compression);
    spice_server_set_jpeg_compression(server, (spice_wan_compression_t)s->jpeg);
    spice_server_set_zlib_glz_compression(server, (spice_wan_compression_t)s->zlib);
    spice_server_set_streaming_video(server, s->streaming);
    if (s->codecs && spice_server_set_video_codecs(server, s->codecs))
        die("libspice-server knows no codecs '%s'", s->codecs);
    reference.qxl.base.sif = &qxl_interface.base;
    reference.keyboard.base.sif = &keyboard_interface.base;
    if (spice_server_init(server, core_on_loop(&reference.loop)) ||
        spice_server_add_interface(server, &reference.keyboard.base) ||
        spice_server_add_interface(server, &reference.qxl.base))
        die("libspice-server does not start on port %d", s->port);
    spice_server_vm_start(server);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {SCENE_OPTIONS,
                                            {"host", 1, NULL, 'h'},
                                            {"port", 1, NULL, 'P'},
                                            {"compression", 1, NULL, 'c'},
                                            {"jpeg", 1, NULL, 'j'},
                                            {"zlib", 1, NULL, 'z'},
                                            {"streaming", 1, NULL, 's'},
                                            {"codecs", 1, NULL, 'C'},
                                            {NULL, 0, NULL, 0}};
    struct settings s = {"127.0.0.1", 5930, SPICE_IMAGE_COMPRESSION_AUTO_GLZ, SPICE_WAN_COMPRESSION_NEVER,
                         SPICE_WAN_COMPRESSION_NEVER, SPICE_STREAM_VIDEO_OFF, NULL};
    struct scene scene;
    int c;

    log_set_program("reference");
    scene_init(&scene);
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!settings_option(&s, c, optarg) && !scene_option(&scene, c, optarg))
            die("usage: reference [--host ADDRESS] [--port N] [--compression C] [--jpeg W] [--zlib W] "
                "[--streaming S] [--codecs C] " SCENE_USAGE);
    scene_load(&scene);
    reference.scene = &scene;
    if (loop_init(&reference.loop))
        die("no event loop");
    start(&s);
    player_init(&reference.player, &scene, &reference.loop, step, NULL);
    player_setup(&reference.player);
    printf("PORT %d\n", s.port);
    fflush(stdout);
    loop_run(&reference.loop);
    player_fini(&reference.player);
    _Exit(0); /* the server's threads do not end by themselves */
}
