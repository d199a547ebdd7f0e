/*
 * The display channel: brings one client's picture up to date whenever the client can take more.
 *
 * The pixels of the primary surface are the truth. Damage only marks tiles; when the client is ready, update() compares
 * what is marked with what the client shows and sends the difference as it is then, so that frames that come faster than
 * the client takes them melt into one. In the order of update():
 *
 *   surface and heads  ->  (moved content, video regions)  ->  changed rectangles  ->  picture.c  ->  DRAW_COPY
 */
#include "spice/server/display_port.h"

#include "base/log.h"

#include <stdlib.h>

/*
 * Updates are not closer than this: what is drawn in between travels together. One that took long is followed by a pause of
 * the same length, since the display's thread has the guest to serve as well.
 */
#define MIN_INTERVAL_MS 15
/* Messages acknowledged at once; twice as many may be under way. */
#define ACK_WINDOW 8
/* A picture is cut into pieces of so many pixels, so that a slow client need not take more than one too many. */
#define PIECE_PIXELS (512 * 1024)
/* The first picture of a surface goes in one piece (spicy-screenshot takes the first thing drawn for the whole). */
#define FIRST_PIXELS (4096 * 4096)
/* Bytes that may wait in the queue while an update goes on. */
#define QUEUE_BYTES (256 * 1024)

struct display_channel {
    struct channel base;
    struct display_port *port;
    struct tiles tiles;
    struct {
        uint32_t width, height; /* 0: none */
    } shown;                    /* the surface that the client has */
    bool initialised;           /* its DISPLAY_INIT came */
    bool heads_changed, fresh;  /* fresh: the surface has no content yet */
    uint8_t compression;
    uint64_t image_id;
    uint64_t next_update; /* not before; milliseconds */
    uv_timer_t *timer;
};

static struct display_channel *display_of(struct channel *ch)
{
    return container_of(ch, struct display_channel, base);
}

/* --- surface and heads --- */

static void destroy_surface(struct display_channel *d)
{
    struct spice_msg_display_surface_destroy msg = {0};

    tiles_fini(&d->tiles);
    if (d->shown.width)
        channel_send(&d->base, SPICE_MSG_DISPLAY_SURFACE_DESTROY, &msg);
    d->shown.width = d->shown.height = 0;
}

static void create_surface(struct display_channel *d, const struct display_surface *s)
{
    struct spice_msg_display_surface_create msg = {
        .width = s->width,
        .height = s->height,
        .format = SPICE_SURFACE_FMT_32_xRGB,
        .flags = SPICE_SURFACE_FLAGS_PRIMARY,
    };

    if (tiles_init(&d->tiles, s->width, s->height)) {
        log_once(LOG_ERROR, "spice: out of memory for a client's display, the connection ends");
        channel_close(&d->base);
        return;
    }
    d->shown.width = s->width;
    d->shown.height = s->height;
    d->fresh = true;
    d->heads_changed = true;
    channel_send(&d->base, SPICE_MSG_DISPLAY_SURFACE_CREATE, &msg);
}

static void send_heads(struct display_channel *d)
{
    const struct display *display = d->port->display;
    struct spice_head heads[DISPLAY_MAX_HEADS] = {
        {.width = d->shown.width, .height = d->shown.height}};
    struct spice_msg_display_monitors_config msg = {.count = MAX(1, display->head_count),
                                                    .heads = heads};

    d->heads_changed = false;
    if (!channel_has_cap(&d->base, SPICE_DISPLAY_CAP_MONITORS_CONFIG))
        return;
    msg.max_allowed = msg.count;
    for (size_t i = 0; i < display->head_count; i++) {
        const struct display_head *h = &display->heads[i];

        heads[i] = (struct spice_head){
            .monitor_id = h->id, .width = h->width, .height = h->height, .x = h->x, .y = h->y};
    }
    channel_send(&d->base, SPICE_MSG_DISPLAY_MONITORS_CONFIG, &msg);
}

/* Whether there is a surface to draw on. */
static bool sync_surface(struct display_channel *d)
{
    const struct display_surface *s = port_surface(d->port);

    if (!s || s->width != d->shown.width || s->height != d->shown.height) {
        destroy_surface(d);
        if (s)
            create_surface(d, s);
    }
    if (s && d->heads_changed && !d->base.closed)
        send_heads(d);
    return s && !d->base.closed;
}

/* --- pixels --- */

static void send_picture(struct display_channel *d, const struct rect *rect)
{
    const struct picture_wish wish = {
        .compression = d->compression,
        .lz4 = channel_has_cap(&d->base, SPICE_DISPLAY_CAP_LZ4_COMPRESSION),
        .local = d->base.params.stream->local,
    };
    struct spice_image image;
    struct spice_msg_display_draw_copy msg = {
        .base = {.box = *rect},
        .src = &image,
        .src_area = {0, 0, rect->right - rect->left, rect->bottom - rect->top},
        .rop = SPICE_ROPD_OP_PUT,
        .scale_mode = SPICE_IMAGE_SCALE_MODE_NEAREST,
    };

    if (picture_encode(d->port->encoder, port_surface(d->port), rect, &wish, &image)) {
        tiles_not_sent(&d->tiles, rect);
        return;
    }
    image.id = ++d->image_id;
    channel_send(&d->base, SPICE_MSG_DISPLAY_DRAW_COPY, &msg);
    if (!d->base.closed)
        tiles_sent(&d->tiles, rect);
}

static bool can_queue_more(struct display_channel *d)
{
    if (d->base.queued > QUEUE_BYTES)
        channel_flush(&d->base);
    return !d->base.closed && d->base.queued < QUEUE_BYTES && d->base.unacked < 2 * ACK_WINDOW;
}

/* The rectangle in pieces, as far as the client takes them. */
static void send_rect(struct display_channel *d, const struct rect *rect, uint32_t piece_pixels)
{
    int32_t width = rect->right - rect->left;
    int32_t rows = MAX(TILE_SIZE, ALIGN_DOWN((int32_t)piece_pixels / width, TILE_SIZE));
    struct rect piece = *rect;

    for (; piece.top < rect->bottom && can_queue_more(d); piece.top = piece.bottom) {
        piece.bottom = MIN(piece.top + rows, rect->bottom);
        send_picture(d, &piece);
    }
    piece.bottom = rect->bottom;
    if (!d->base.closed && !rect_empty(&piece))
        tiles_not_sent(&d->tiles, &piece);
}

static void send_changes(struct display_channel *d)
{
    struct rect rects[TILES_MAX_RECTS];
    size_t count = tiles_collect(&d->tiles, port_surface(d->port), &d->port->key, rects);
    bool whole = d->fresh && (uint64_t)d->shown.width * d->shown.height <= FIRST_PIXELS;

    if (whole) {
        count = 1;
        rects[0] = (struct rect){0, 0, d->shown.width, d->shown.height};
    }
    for (size_t i = 0; i < count && !d->base.closed; i++)
        send_rect(d, &rects[i], whole ? FIRST_PIXELS : PIECE_PIXELS);
    if (d->fresh)
        channel_send(&d->base, SPICE_MSG_DISPLAY_MARK, NULL);
    d->fresh = false;
}

/* --- when --- */

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void update(struct display_channel *d)
{
    uint64_t start = now_ms();

    if (!d->initialised || !channel_ready(&d->base) || !sync_surface(d))
        return;
    send_changes(d);
    d->next_update = start + MAX(MIN_INTERVAL_MS, 2 * (now_ms() - start));
}

static void timer_fired(uv_timer_t *timer)
{
    update(timer->data);
}

static bool out_of_date(const struct display_channel *d)
{
    const struct display_surface *s = port_surface(d->port);

    if (!s)
        return d->shown.width != 0;
    return s->width != d->shown.width || s->height != d->shown.height || d->heads_changed ||
           d->tiles.dirty;
}

/* Update soon, but not too soon after the last time. */
static void schedule(struct display_channel *d)
{
    uint64_t now = now_ms();

    if (!d->initialised || uv_is_active((uv_handle_t *)d->timer) || !channel_ready(&d->base) ||
        !out_of_date(d))
        return;
    uv_update_time(d->timer->loop);
    uv_timer_start(d->timer, timer_fired, d->next_update > now ? d->next_update - now : 0, 0);
}

static void ready(struct channel *ch)
{
    schedule(display_of(ch));
}

void display_channel_surface(struct channel *ch)
{
    struct display_channel *d = display_of(ch);
    const struct rect all = {0, 0, d->shown.width, d->shown.height};

    if (d->tiles.state)
        tiles_mark(&d->tiles, &all);
    schedule(d);
}

void display_channel_damage(struct channel *ch, const struct rect *rects, size_t count)
{
    struct display_channel *d = display_of(ch);

    if (!d->tiles.state)
        return; /* all of it will be sent */
    for (size_t i = 0; i < count; i++)
        tiles_mark(&d->tiles, &rects[i]);
    schedule(d);
}

void display_channel_heads(struct channel *ch)
{
    display_of(ch)->heads_changed = true;
    schedule(display_of(ch));
}

/* --- the client speaks --- */

static void take_preference(struct display_channel *d, uint8_t compression)
{
    if (compression > SPICE_IMAGE_COMPRESSION_INVALID &&
        compression < SPICE_IMAGE_COMPRESSION_ENUM_END)
        d->compression = compression;
}

static void take_message(struct channel *ch, unsigned id, const void *msg)
{
    struct display_channel *d = display_of(ch);

    switch (id) {
    case SPICE_MSGC_DISPLAY_INIT:
        /* Its caches and dictionary stay unused; there is none of our pictures in them. */
        d->initialised = true;
        port_display_joined(d->port, ch);
        schedule(d);
        break;
    case SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION:
        take_preference(
            d, ((const struct spice_msgc_display_preferred_compression *)msg)->image_compression);
        break;
    default:
        break; /* about streams, which there are none of */
    }
}

/* --- life --- */

static void free_timer(uv_handle_t *handle)
{
    free(handle);
}

static void closed(struct channel *ch)
{
    struct display_channel *d = display_of(ch);

    uv_close((uv_handle_t *)d->timer, free_timer);
    tiles_fini(&d->tiles);
    port_channel_closed(d->port, ch);
}

static void free_channel(struct channel *ch)
{
    free(display_of(ch));
}

static const struct channel_ops display_ops = {take_message, ready, closed, free_channel};

void display_channel_create(struct display_port *port, const struct channel_params *params)
{
    struct display_channel *d = calloc(1, sizeof(*d));
    uv_timer_t *timer = malloc(sizeof(*timer));

    if (!d || !timer) {
        stream_close(params->stream);
        free(d);
        free(timer);
        return;
    }
    if (channel_init(&d->base, &display_ops, port->display->loop, params)) {
        free(d);
        free(timer);
        return;
    }
    d->port = port;
    d->compression = port->compression;
    d->base.max_queue = MSG_MAX_SIZE + CHANNEL_MAX_QUEUE;
    d->timer = timer;
    uv_timer_init(&port->display->loop->uv, timer);
    timer->data = d;
    LIST_INSERT_HEAD(&port->displays, &d->base, link);
    channel_set_ack_window(&d->base, ACK_WINDOW);
}
