#include "tests/reference/feed.h"

#include "base/log.h"
#include "base/loop.h"
#include "tests/reference/core.h"
#include "tests/reference/link.h"

#include <spice.h>
#include <spice/protocol.h>
#include <spice/qxl_dev.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCREEN_WIDTH  2048
#define SCREEN_HEIGHT 2048
#define WINDOW_PIXELS 4000000 /* of the GLZ dictionary, where the caller names no other */

struct command {
    QXLDrawable draw;
    QXLImage image;
};

static struct feed {
    struct loop loop;
    SpiceServer *server;
    QXLInstance qxl;
    QXLPalette *palette;
    struct command *commands;
    const struct image *pictures;
    size_t count;
    atomic_size_t offered, taken;
    struct notifier more; /* the receiver wants the next */
    void (*got)(void *opaque, size_t index, const struct feed_result *result);
    void *opaque;
    int port;
    uint32_t window;
    bool chunks;
    double receiver_cpu;
} feed;

/* ---- the device ---- */

static int get_command(QXLInstance *qxl, QXLCommandExt *e)
{
    size_t i = atomic_load(&feed.taken);

    (void)qxl;
    if (i == atomic_load(&feed.offered))
        return 0;
    *e = (QXLCommandExt){.cmd.type = QXL_CMD_DRAW, .cmd.data = (uintptr_t)&feed.commands[i].draw};
    atomic_fetch_add(&feed.taken, 1);
    return 1;
}

static int want_notification(QXLInstance *qxl)
{
    (void)qxl;
    return atomic_load(&feed.taken) == atomic_load(&feed.offered);
}

static void init_info(QXLInstance *qxl, QXLDevInitInfo *info)
{
    (void)qxl;
    *info = (QXLDevInitInfo){.num_memslots_groups = 1,
                             .num_memslots = 1,
                             .memslot_gen_bits = 1,
                             .memslot_id_bits = 1,
                             .n_surfaces = 16};
}

static void attached(QXLInstance *qxl)
{
    QXLDevMemSlot slot = {.virt_end = ~(uintptr_t)0, .qxl_ram_size = ~0u};
    QXLDevSurfaceCreate primary = {.width = SCREEN_WIDTH,
                                   .height = SCREEN_HEIGHT,
                                   .stride = SCREEN_WIDTH * 4,
                                   .format = SPICE_SURFACE_FMT_32_xRGB,
                                   .mouse_mode = 1,
                                   .type = QXL_SURF_TYPE_PRIMARY,
                                   .mem = (uintptr_t)calloc(SCREEN_WIDTH * 4, SCREEN_HEIGHT)};

    spice_qxl_add_memslot(qxl, &slot);
    spice_qxl_create_primary_surface(qxl, 0, &primary);
}

static void set_number(QXLInstance *qxl, int v)
{
    (void)qxl;
    (void)v;
}

static void set_mm_time(QXLInstance *qxl, uint32_t v)
{
    (void)qxl;
    (void)v;
}

static void release(QXLInstance *qxl, QXLReleaseInfoExt info)
{
    (void)qxl;
    (void)info;
}

static int no_cursor(QXLInstance *qxl, QXLCommandExt *e)
{
    (void)qxl;
    (void)e;
    return 0;
}

static int yes(QXLInstance *qxl)
{
    (void)qxl;
    return 1;
}

static int no_flush(QXLInstance *qxl)
{
    (void)qxl;
    return 0;
}

static void updated(QXLInstance *qxl, uint32_t surface, QXLRect *rects, uint32_t count)
{
    (void)qxl;
    (void)surface;
    (void)rects;
    (void)count;
}

static void completed(QXLInstance *qxl, uint64_t cookie)
{
    (void)qxl;
    (void)cookie;
}

static void client_caps(QXLInstance *qxl, uint8_t present, uint8_t caps[SPICE_CAPABILITIES_SIZE])
{
    (void)qxl;
    (void)present;
    (void)caps;
}

static const QXLInterface qxl_interface = {
    .base = {SPICE_INTERFACE_QXL, "feed", SPICE_INTERFACE_QXL_MAJOR, SPICE_INTERFACE_QXL_MINOR},
    .attached_worker = attached,
    .set_compression_level = set_number,
    .set_mm_time = set_mm_time,
    .get_init_info = init_info,
    .get_command = get_command,
    .req_cmd_notification = want_notification,
    .release_resource = release,
    .get_cursor_command = no_cursor,
    .req_cursor_notification = yes,
    .notify_update = set_mm_time,
    .flush_resources = no_flush,
    .async_complete = completed,
    .update_area_complete = updated,
    .set_client_capabilities = client_caps,
};

/* The picture's rows in chunks of some of them, each somewhere else. */
static QXLDataChunk *make_chunks(const struct image *picture, uint32_t seed)
{
    QXLDataChunk *first = NULL, *last = NULL;

    for (uint32_t y = 0, rows; y < picture->height; y += rows) {
        QXLDataChunk *chunk;
        size_t size;

        seed = seed * 1103515245 + 12345;
        rows = MIN(1 + seed / 65536 % 9, picture->height - y);
        size = (size_t)rows * picture->stride;
        chunk = calloc(1, sizeof(*chunk) + size);
        chunk->data_size = (uint32_t)size;
        chunk->prev_chunk = (uintptr_t)last;
        memcpy((uint8_t *)chunk + sizeof(*chunk), image_row(picture, y), size);
        if (last)
            last->next_chunk = (uintptr_t)chunk;
        else
            first = chunk;
        last = chunk;
    }
    return first;
}

static void make_command(struct command *c, const struct image *picture, uint32_t id)
{
    c->draw = (QXLDrawable){
        .release_info.id = id,
        .effect = QXL_EFFECT_OPAQUE,
        .type = QXL_DRAW_COPY,
        .bbox = {.bottom = (int32_t)picture->height, .right = (int32_t)picture->width},
        .clip.type = SPICE_CLIP_TYPE_NONE,
        .surfaces_dest = {-1, -1, -1},
        .u.copy = {
            .src_bitmap = (uintptr_t)&c->image,
            .src_area = {.bottom = (int32_t)picture->height, .right = (int32_t)picture->width},
            .rop_descriptor = SPICE_ROPD_OP_PUT}};
    c->image = (QXLImage){
        .descriptor = {.id = (uint64_t)id << 32 | QXL_IMAGE_GROUP_DRIVER_DONT_CACHE,
                       .type = SPICE_IMAGE_TYPE_BITMAP,
                       .width = picture->width,
                       .height = picture->height},
        .bitmap = {.format = picture->format,
                   .flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN,
                   .x = picture->width,
                   .y = picture->height,
                   .stride = picture->stride,
                   .palette = image_is_indexed(picture->format) ? (uintptr_t)feed.palette : 0,
                   .data = (uintptr_t)picture->data}};
    if (feed.chunks) {
        c->image.bitmap.flags = QXL_BITMAP_TOP_DOWN;
        c->image.bitmap.data = (uintptr_t)make_chunks(picture, id);
    }
}

/* ---- the receiver ---- */

/* The image of a DRAW_COPY message, if it is the picture (the server also sends the whole screen at first). */
static bool parse_copy(const struct writer *m, const struct image *picture,
                       struct feed_result *result)
{
    struct reader r;
    uint32_t at, flags = 0;

    reader_init(&r, m->data, m->size);
    reader_bytes(&r, 4 + 16); /* surface, box */
    if (reader_u8(&r) != SPICE_CLIP_TYPE_NONE)
        return false;
    at = reader_u32(&r);
    if (r.bad || at > m->size)
        return false;
    reader_init(&r, m->data + at, m->size - at);
    reader_u64(&r);
    result->type = reader_u8(&r);
    reader_u8(&r);
    if (reader_u32(&r) != picture->width || reader_u32(&r) != picture->height)
        return false;
    result->extra = 0;
    if (result->type == SPICE_IMAGE_TYPE_LZ_PLT || result->type == SPICE_IMAGE_TYPE_JPEG_ALPHA)
        flags = reader_u8(&r);
    if (result->type == SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB ||
        result->type == SPICE_IMAGE_TYPE_JPEG_ALPHA)
        result->extra = reader_u32(&r);
    result->size = reader_u32(&r);
    if (result->type == SPICE_IMAGE_TYPE_LZ_PLT)
        reader_bytes(&r, flags & SPICE_BITMAP_FLAGS_PAL_FROM_CACHE ? 8 : 4);
    if (result->type == SPICE_IMAGE_TYPE_BITMAP)
        result->size = 0;
    result->data = reader_bytes(&r, result->size);
    return !r.bad;
}

static double cpu_seconds(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void receive_pictures(int fd)
{
    uint32_t window = 0, unacknowledged = 0;
    struct writer m;
    size_t i = 0;
    int type;

    writer_init(&m, MIB(64));
    notifier_signal(&feed.more);
    while (i < feed.count && (type = link_receive(fd, &m, &window, &unacknowledged)) >= 0) {
        struct feed_result result;

        if (type != SPICE_MSG_DISPLAY_DRAW_COPY || !parse_copy(&m, &feed.pictures[i], &result))
            continue;
        feed.got(feed.opaque, i++, &result);
        if (i < feed.count)
            notifier_signal(&feed.more);
    }
    if (i < feed.count)
        die("the server closed the display channel after %zu pictures", i);
    writer_fini(&m);
}

static void *receiver(void *arg)
{
    const uint32_t caps = 1u << SPICE_DISPLAY_CAP_SIZED_STREAM | 1u << SPICE_DISPLAY_CAP_COMPOSITE |
                          1u << SPICE_DISPLAY_CAP_A8_SURFACE |
                          1u << SPICE_DISPLAY_CAP_LZ4_COMPRESSION;
    uint32_t window = 0, unacknowledged = 0, session = 0;
    uint8_t init[14] = {1, 0, 0, 0x10, 0, 0, 0, 0, 0, 1};
    int main_fd = link_open(feed.port, 0, SPICE_CHANNEL_MAIN, 0), fd;
    struct writer m;

    (void)arg;
    writer_init(&m, MIB(1));
    while (!session)
        if (link_receive(main_fd, &m, &window, &unacknowledged) == SPICE_MSG_MAIN_INIT)
            session = load_le32(m.data);
    writer_fini(&m);
    link_send(main_fd, SPICE_MSGC_MAIN_ATTACH_CHANNELS, "", 0);
    fd = link_open(feed.port, session, SPICE_CHANNEL_DISPLAY, caps);
    store_le32(init + 10, feed.window);
    link_send(fd, SPICE_MSGC_DISPLAY_INIT, init, sizeof(init));
    receive_pictures(fd);
    feed.receiver_cpu = cpu_seconds(RUSAGE_THREAD);
    loop_stop(&feed.loop);
    return NULL;
}

static void offer(void *opaque)
{
    (void)opaque;
    atomic_fetch_add(&feed.offered, 1);
    spice_qxl_wakeup(&feed.qxl);
}

static void start_server(const struct feed_options *o)
{
    feed.server = spice_server_new();
    spice_server_set_addr(feed.server, "127.0.0.1", SPICE_ADDR_FLAG_IPV4_ONLY);
    spice_server_set_port(feed.server, o->port);
    spice_server_set_noauth(feed.server);
    spice_server_set_image_compression(feed.server, (SpiceImageCompression)o->compression);
    spice_server_set_jpeg_compression(feed.server, o->jpeg ? SPICE_WAN_COMPRESSION_ALWAYS
                                                           : SPICE_WAN_COMPRESSION_NEVER);
    spice_server_set_zlib_glz_compression(feed.server, o->zlib ? SPICE_WAN_COMPRESSION_ALWAYS
                                                               : SPICE_WAN_COMPRESSION_NEVER);
    spice_server_set_streaming_video(feed.server, SPICE_STREAM_VIDEO_OFF);
    feed.qxl.base.sif = &qxl_interface.base;
    if (spice_server_init(feed.server, core_on_loop(&feed.loop)) ||
        spice_server_add_interface(feed.server, &feed.qxl.base))
        die("libspice-server does not start on port %d", o->port);
    spice_server_vm_start(feed.server);
}

static void make_commands(const struct image *pictures, size_t count, const struct palette *palette)
{
    feed.palette = calloc(1, sizeof(*feed.palette) + palette->count * 4);
    feed.palette->unique = 1;
    feed.palette->num_ents = (uint16_t)palette->count;
    memcpy((uint8_t *)feed.palette + sizeof(*feed.palette), palette->entries, palette->count * 4);
    feed.commands = calloc(count, sizeof(*feed.commands));
    feed.pictures = pictures;
    feed.count = count;
    for (size_t i = 0; i < count; i++)
        make_command(&feed.commands[i], &pictures[i], (uint32_t)i + 1);
}

double feed_run(const struct feed_options *options, const struct image *pictures, size_t count,
                const struct palette *palette,
                void (*got)(void *opaque, size_t index, const struct feed_result *result),
                void *opaque)
{
    pthread_t thread;
    double before;

    feed.got = got;
    feed.opaque = opaque;
    feed.port = options->port;
    feed.window = options->window ? options->window : WINDOW_PIXELS;
    feed.chunks = options->chunks;
    make_commands(pictures, count, palette);
    if (loop_init(&feed.loop) || notifier_init(&feed.more) ||
        notifier_attach(&feed.more, &feed.loop, offer, NULL))
        die("no event loop");
    before = cpu_seconds(RUSAGE_SELF);
    start_server(options);
    if (pthread_create(&thread, NULL, receiver, NULL))
        die("no thread");
    loop_run(&feed.loop);
    pthread_join(thread, NULL);
    return cpu_seconds(RUSAGE_SELF) - before - feed.receiver_cpu;
}
