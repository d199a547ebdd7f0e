#include "client/display_channel.h"

#include "base/error.h"
#include "client/display_moves.h"
#include "client/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct canvas *display_surface(struct display_channel *d, uint32_t id)
{
    if (id < DISPLAY_MAX_SURFACES && d->surfaces[id])
        return d->surfaces[id];
    fail(-EBADMSG, "there is no surface %u", id);
    return NULL;
}

int display_clip(const struct spice_clip *clip, pixman_region32_t *region, bool *set)
{
    *set = clip->type == SPICE_CLIP_TYPE_RECTS;
    return canvas_region(region, clip->rects, *set ? clip->count : 0);
}

void display_begin(struct display_channel *d, const struct canvas *c)
{
    display_moves_draw(d->moves);
    if (c == d->primary)
        screen_lock(d->base.session->screen);
}

void display_end(struct display_channel *d, const struct canvas *c, const struct canvas_target *t)
{
    struct screen *screen = d->base.session->screen;
    struct screen_display *shown = &screen->displays[d->base.id];
    struct rect bounds = canvas_bounds(c), box = rect_intersect(&t->box, &bounds);
    pixman_region32_t region;

    d->base.session->last_display_ns = now_ns();
    if (c != d->primary)
        return;
    if (t->clip && !rect_empty(&box)) {
        pixman_region32_init(&region);
        pixman_region32_intersect_rect(&region, (pixman_region32_t *)t->clip, box.left, box.top,
                                       (unsigned)(box.right - box.left),
                                       (unsigned)(box.bottom - box.top));
        screen_add_damage(shown, &region);
        pixman_region32_fini(&region);
    } else {
        screen_add_damage_rect(shown, &box);
    }
    tempo_drawn(&screen->tempo, uv_now(&d->base.session->loop->uv));
    screen_unlock(screen);
    screen_wake(screen);
}

static void set_primary(struct display_channel *d, struct canvas *primary)
{
    struct screen *screen = d->base.session->screen;

    screen_lock(screen);
    d->primary = primary;
    screen_set_primary(&screen->displays[d->base.id], primary);
    screen_unlock(screen);
    screen_wake(screen);
}

static uint64_t bytes_of(const struct canvas *c)
{
    return (uint64_t)c->stride * c->height;
}

static void destroy_surface(struct display_channel *d, uint32_t id)
{
    struct canvas *c = d->surfaces[id];

    if (!c)
        return;
    display_moves_draw(d->moves);
    display_streams_destroy(d, c);
    if (c == d->primary)
        set_primary(d, NULL);
    d->surface_bytes -= bytes_of(c);
    d->surfaces[id] = NULL;
    canvas_destroy(c);
}

static int create_surface(struct display_channel *d,
                          const struct spice_msg_display_surface_create *m)
{
    uint64_t most = (uint64_t)m->width * m->height * 4 + (uint64_t)m->height * 4;
    struct canvas *c;
    int err;

    if (m->surface_id >= DISPLAY_MAX_SURFACES)
        return fail(-EBADMSG, "surface id %u is too large", m->surface_id);
    destroy_surface(d, m->surface_id);
    if (m->width > CANVAS_MAX_SIZE || m->height > CANVAS_MAX_SIZE ||
        most > DISPLAY_MAX_SURFACE_BYTES - d->surface_bytes)
        return fail(-E2BIG, "surface %u of %ux%u pixels is too large", m->surface_id, m->width,
                    m->height);
    err = canvas_create(&c, m->format, m->width, m->height);
    if (err)
        return fail(err, "surface %u of %ux%u pixels, format %u: %s", m->surface_id, m->width,
                    m->height, m->format, strerror(-err));
    d->surfaces[m->surface_id] = c;
    d->surface_bytes += bytes_of(c);
    if (m->flags & SPICE_SURFACE_FLAGS_PRIMARY)
        set_primary(d, c);
    return 0;
}

static int handle_surface_create(struct channel *c, const void *msg)
{
    return create_surface(to_display(c), msg);
}

static int handle_surface_destroy(struct channel *c, const void *msg)
{
    const struct spice_msg_display_surface_destroy *m = msg;
    struct display_channel *d = to_display(c);

    if (!display_surface(d, m->surface_id))
        return -EBADMSG;
    destroy_surface(d, m->surface_id);
    return 0;
}

/* The way old servers announce the primary surface. */
static int handle_mode(struct channel *c, const void *msg)
{
    const struct spice_msg_display_mode *m = msg;
    struct spice_msg_display_surface_create create = {
        .width = m->x_res,
        .height = m->y_res,
        .format = m->bits == 32 ? SPICE_SURFACE_FMT_32_xRGB : SPICE_SURFACE_FMT_16_555,
        .flags = SPICE_SURFACE_FLAGS_PRIMARY,
    };

    return create_surface(to_display(c), &create);
}

static int handle_mark(struct channel *c, const void *msg UNUSED)
{
    struct session *s = c->session;

    if (!s->marked_ns)
        s->marked_ns = now_ns();
    s->last_display_ns = now_ns();
    screen_lock(s->screen);
    s->screen->displays[c->id].marked = s->screen->displays[c->id].primary != NULL;
    screen_unlock(s->screen);
    screen_wake(s->screen);
    return 0;
}

/* Heads of no size are off; those outside of the surface are left out where it is known (screen_monitors()). */
static int handle_monitors_config(struct channel *c, const void *msg)
{
    const struct spice_msg_display_monitors_config *m = msg;
    struct screen *screen = c->session->screen;
    struct screen_display *shown = &screen->displays[c->id];
    unsigned count = 0;

    screen_lock(screen);
    for (unsigned i = 0; i < m->count && count < SCREEN_MAX_HEADS; i++) {
        const struct spice_head *h = &m->heads[i];

        if (MAX(h->width, h->height) > CANVAS_MAX_SIZE || MAX(h->x, h->y) > CANVAS_MAX_SIZE || !h->width || !h->height)
            continue;
        shown->heads[count++] = (struct screen_head){
            h->monitor_id, {(int32_t)h->x, (int32_t)h->y, (int32_t)(h->x + h->width), (int32_t)(h->y + h->height)}};
    }
    shown->head_count = count;
    screen_unlock(screen);
    screen_wake(screen);
    return 0;
}

static void destroy_all_surfaces(struct display_channel *d)
{
    for (uint32_t id = 0; id < DISPLAY_MAX_SURFACES; id++)
        destroy_surface(d, id);
}

static int handle_reset(struct channel *c, const void *msg UNUSED)
{
    struct display_channel *d = to_display(c);
    struct canvas_target all = {.box = {0, 0, CANVAS_MAX_SIZE, CANVAS_MAX_SIZE}};

    display_streams_destroy(d, NULL);
    pictures_forget_palettes(d->pictures);
    if (!d->primary)
        return 0;
    display_begin(d, d->primary);
    canvas_fill(d->primary, &all, NULL, SPICE_ROPD_OP_BLACKNESS);
    display_end(d, d->primary, &all);
    return 0;
}

static int handle_inval_list(struct channel *c, const void *msg)
{
    const struct spice_msg_display_inval_list *m = msg;

    for (unsigned i = 0; i < m->count; i++)
        if (m->resources[i].type == SPICE_RES_TYPE_PIXMAP)
            pictures_forget(to_display(c)->pictures, m->resources[i].id);
    return 0;
}

static int handle_inval_all_pixmaps(struct channel *c, const void *msg UNUSED)
{
    /* It names channels to wait for; the cache is this channel's alone. */
    pictures_forget_all(to_display(c)->pictures);
    return 0;
}

static int handle_inval_palette(struct channel *c, const void *msg)
{
    const struct spice_msg_inval_one *m = msg;

    pictures_forget_palette(to_display(c)->pictures, m->id);
    return 0;
}

static int handle_inval_all_palettes(struct channel *c, const void *msg UNUSED)
{
    pictures_forget_palettes(to_display(c)->pictures);
    return 0;
}

static const struct channel_handler surface_handlers[] = {
    {SPICE_MSG_DISPLAY_SURFACE_CREATE, handle_surface_create},
    {SPICE_MSG_DISPLAY_SURFACE_DESTROY, handle_surface_destroy},
    {SPICE_MSG_DISPLAY_MODE, handle_mode},
    {SPICE_MSG_DISPLAY_MARK, handle_mark},
    {SPICE_MSG_DISPLAY_MONITORS_CONFIG, handle_monitors_config},
    {SPICE_MSG_DISPLAY_RESET, handle_reset},
    {SPICE_MSG_DISPLAY_INVAL_LIST, handle_inval_list},
    {SPICE_MSG_DISPLAY_INVAL_ALL_PIXMAPS, handle_inval_all_pixmaps},
    {SPICE_MSG_DISPLAY_INVAL_PALETTE, handle_inval_palette},
    {SPICE_MSG_DISPLAY_INVAL_ALL_PALETTES, handle_inval_all_palettes},
};

static int display_up(struct channel *c)
{
    struct spice_msgc_display_init init = {
        .pixmap_cache_id = (uint8_t)(c->id + 1),
        .pixmap_cache_size = PICTURES_CACHE_PIXELS,
        .glz_dictionary_id = (uint8_t)(c->id + 1),
        .glz_dictionary_window_size = PICTURES_GLZ_PIXELS,
    };

    return channel_send(c, SPICE_MSGC_DISPLAY_INIT, &init);
}

static void display_close(struct channel *c)
{
    display_moves_close(to_display(c)->moves);
    uv_close((uv_handle_t *)&to_display(c)->frames, NULL);
}

static void free_parts(struct display_channel *d)
{
    pictures_destroy(d->pictures);
    display_moves_destroy(d->moves);
    free(d);
}

static void display_destroy(struct channel *c)
{
    struct display_channel *d = to_display(c);

    destroy_all_surfaces(d);
    channel_fini(c);
    free_parts(d);
}

const struct pictures_stats *display_channel_stats(const struct channel *c)
{
    return pictures_stats(container_of(c, struct display_channel, base)->pictures);
}

const struct video_stats *display_channel_video(const struct channel *c)
{
    return &container_of(c, struct display_channel, base)->video;
}

static const struct channel_ops ops = {
    .type = SPICE_CHANNEL_DISPLAY,
    .caps = 1u << SPICE_DISPLAY_CAP_MONITORS_CONFIG | 1u << SPICE_DISPLAY_CAP_COMPOSITE |
            1u << SPICE_DISPLAY_CAP_A8_SURFACE | 1u << SPICE_DISPLAY_CAP_LZ4_COMPRESSION,
    .tables = {{surface_handlers, ARRAY_SIZE(surface_handlers)},
               {display_draw_handlers, DISPLAY_DRAW_HANDLERS},
               {display_stream_handlers, DISPLAY_STREAM_HANDLERS}},
    .up = display_up,
    .close = display_close,
    .destroy = display_destroy,
};

static struct display_channel *create(void)
{
    struct display_channel *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->pictures = pictures_create();
    d->moves = display_moves_create(d);
    if (d->pictures && d->moves)
        return d;
    free_parts(d);
    return NULL;
}

int display_channel_open(struct session *s, uint8_t id, struct channel **channel)
{
    struct display_channel *d = create();
    int err;

    if (!d)
        return -ENOMEM;
    err = channel_connect(&d->base, s, &ops, id, -1);
    if (err) {
        free_parts(d);
        return err;
    }
    d->base.request.channel_caps |= display_streams_caps();
    display_streams_init(d);
    display_moves_start(d->moves);
    *channel = &d->base;
    return 0;
}
