#include "tests/reference/show.h"

#include "base/log.h"
#include "tests/reference/host.h"

#include <pthread.h>
#include <semaphore.h>
#include <spice-client.h>
#include <stdio.h>

static struct {
    int listener, displays[SHOW_CHANNELS];
    /* A message on its way to the thread, which frees it; the semaphores say whether there is room for one, or one. */
    struct writer message;
    unsigned channel;
    sem_t room, full;
    /* the client */
    GMainLoop *loop;
    SpiceChannel *channels[SHOW_CHANNELS];
    unsigned surfaces;
    void (*ready)(void);
    void (*drawn)(unsigned channel, uint32_t width, uint32_t height);
} show;

/* ---- the server ---- */

static void serve_channels(void)
{
    const uint32_t init[8] = {77, 1, 1, 1};
    const uint32_t surface[5] = {0, SHOW_SIDE, SHOW_SIDE, SPICE_SURFACE_FMT_32_ARGB,
                                 SPICE_SURFACE_FLAGS_PRIMARY};
    struct writer list;
    uint8_t id;
    int fd = host_accept(show.listener, &id);

    host_send_words(fd, SPICE_MSG_MAIN_INIT, init, 8);
    host_wait(fd, SPICE_MSGC_MAIN_ATTACH_CHANNELS);
    writer_init(&list, 64);
    writer_u32(&list, SHOW_CHANNELS);
    for (uint8_t i = 0; i < SHOW_CHANNELS; i++) {
        writer_u8(&list, SPICE_CHANNEL_DISPLAY);
        writer_u8(&list, i);
    }
    host_send(fd, SPICE_MSG_MAIN_CHANNELS_LIST, &list);
    writer_fini(&list);
    for (int i = 0; i < SHOW_CHANNELS; i++) {
        fd = host_accept(show.listener, &id);
        host_wait(fd, SPICE_MSGC_DISPLAY_INIT);
        show.displays[id % SHOW_CHANNELS] = fd;
    }
    for (int i = 0; i < SHOW_CHANNELS; i++)
        host_send_words(show.displays[i], SPICE_MSG_DISPLAY_SURFACE_CREATE, surface, 5);
}

static void *serve(void *arg)
{
    (void)arg;
    serve_channels();
    for (;;) {
        struct writer message;
        unsigned channel;

        sem_wait(&show.full);
        message = show.message;
        channel = show.channel;
        sem_post(&show.room);
        host_send(show.displays[channel], SPICE_MSG_DISPLAY_DRAW_COPY, &message);
        writer_fini(&message);
    }
    return NULL;
}

static void put_image(struct writer *w, const struct shown *p)
{
    size_t place = 0;

    if (p->type == SPICE_IMAGE_TYPE_BITMAP) {
        writer_u8(w, SPICE_BITMAP_FMT_32BIT);
        writer_u8(w, SPICE_BITMAP_FLAGS_TOP_DOWN);
        host_put_words(w, (const uint32_t[4]){p->width, p->height, 4 * p->width, 0}, 4);
        writer_bytes(w, p->data, p->size);
        return;
    }
    if (p->type == SPICE_IMAGE_TYPE_LZ_PLT)
        writer_u8(w, 0);
    if (p->type == SPICE_IMAGE_TYPE_JPEG_ALPHA)
        writer_u8(w, SPICE_JPEG_ALPHA_FLAGS_TOP_DOWN);
    if (p->type == SPICE_IMAGE_TYPE_JPEG_ALPHA || p->type == SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB)
        writer_u32(w, p->part);
    writer_u32(w, p->size);
    if (p->type == SPICE_IMAGE_TYPE_LZ_PLT) {
        place = w->size;
        writer_u32(w, 0);
    }
    writer_bytes(w, p->data, p->size);
    if (place) {
        store_le32(w->data + place, (uint32_t)w->size);
        writer_u64(w, 1);
        writer_u16(w, 256);
        host_put_words(w, p->colors, 256);
    }
}

void show_picture(unsigned channel, const struct shown *p)
{
    const uint32_t box[4] = {0, 0, p->height, p->width};
    struct writer w;

    writer_init(&w, MIB(64));
    writer_u32(&w, 0);
    host_put_words(&w, box, 4);
    writer_u8(&w, p->hidden ? SPICE_CLIP_TYPE_RECTS : SPICE_CLIP_TYPE_NONE);
    if (p->hidden)
        writer_u32(&w, 0);
    writer_u32(&w, p->hidden ? 61 : 57); /* where the image is */
    host_put_words(&w, box, 4);
    writer_u16(&w, SPICE_ROPD_OP_PUT);
    writer_u8(&w, SPICE_IMAGE_SCALE_MODE_NEAREST);
    writer_u8(&w, 0);
    host_put_words(&w, (const uint32_t[3]){0}, 3);
    writer_u64(&w, 1);
    writer_u8(&w, p->type);
    writer_u8(&w, 0);
    writer_u32(&w, p->width);
    writer_u32(&w, p->height);
    put_image(&w, p);
    sem_wait(&show.room);
    show.message = w;
    show.channel = channel;
    sem_post(&show.full);
}

static int start_server(void)
{
    pthread_t thread;
    int port;

    show.listener = host_listen(&port);
    sem_init(&show.room, 0, 1);
    sem_init(&show.full, 0, 0);
    if (pthread_create(&thread, NULL, serve, NULL))
        die("no thread");
    pthread_detach(thread);
    return port;
}

/* ---- the client ---- */

static unsigned number_of(SpiceChannel *channel)
{
    unsigned i = 0;

    while (i < SHOW_CHANNELS - 1 && show.channels[i] != channel)
        i++;
    return i;
}

static void on_invalidate(SpiceChannel *channel, gint x, gint y, gint w, gint h, gpointer opaque)
{
    (void)x, (void)y, (void)opaque;
    show.drawn(number_of(channel), (uint32_t)w, (uint32_t)h);
}

static gboolean begin(gpointer opaque)
{
    (void)opaque;
    show.ready();
    return G_SOURCE_REMOVE;
}

static void on_primary(SpiceChannel *channel, gint format, gint width, gint height, gint stride,
                       gint shmid, gpointer data, gpointer opaque)
{
    (void)channel, (void)format, (void)width, (void)height;
    (void)stride, (void)shmid, (void)data, (void)opaque;
    if (++show.surfaces == SHOW_CHANNELS)
        g_idle_add(begin, NULL);
}

static void on_channel(SpiceSession *session, SpiceChannel *channel, gpointer opaque)
{
    gint id = 0;

    (void)session;
    (void)opaque;
    if (!SPICE_IS_DISPLAY_CHANNEL(channel))
        return;
    g_object_get(channel, "channel-id", &id, NULL);
    show.channels[id % SHOW_CHANNELS] = channel;
    g_signal_connect(channel, "display-invalidate", G_CALLBACK(on_invalidate), NULL);
    g_signal_connect(channel, "display-primary-create", G_CALLBACK(on_primary), NULL);
    spice_channel_connect(channel);
}

static gboolean on_timeout(gpointer opaque)
{
    (void)opaque;
    die("spice-gtk is stuck");
}

void show_run(void (*ready)(void), void (*drawn)(unsigned channel, uint32_t width, uint32_t height),
              unsigned seconds)
{
    SpiceSession *session = spice_session_new();
    char uri[64];

    show.ready = ready;
    show.drawn = drawn;
    show.loop = g_main_loop_new(NULL, FALSE);
    snprintf(uri, sizeof(uri), "spice://127.0.0.1:%d", start_server());
    g_object_set(session, "uri", uri, "enable-audio", FALSE, "enable-usbredir", FALSE,
                 "enable-smartcard", FALSE, NULL);
    g_signal_connect(session, "channel-new", G_CALLBACK(on_channel), NULL);
    g_timeout_add_seconds(seconds, on_timeout, NULL);
    if (!spice_session_connect(session))
        die("spice-gtk does not connect");
    g_main_loop_run(show.loop);
}

void show_end(void)
{
    g_main_loop_quit(show.loop);
}

const uint8_t *show_screen(unsigned channel, size_t *stride)
{
    SpiceDisplayPrimary primary;

    if (!spice_display_channel_get_primary(show.channels[channel], 0, &primary))
        die("spice-gtk has no surface");
    *stride = (size_t)primary.stride;
    return primary.data;
}
