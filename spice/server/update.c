/*
 * update.c - one update of one client: from what it shows to what is, the cheapest way first.
 *
 *   compare -> video (STREAM_DATA) -> moves (COPY_BITS) -> large parts of one colour (DRAW_FILL) -> the rest as rectangles
 *   -> pictures (DRAW_COPY)
 *
 * What is not sent, because it is too much at once or because the client takes no more, stays marked as behind: the next
 * update sends it as it is then. So frames that come faster than the client takes them melt into one.
 */
#include "spice/codec/content.h"
#include "spice/server/display_channel.h"
#include "spice/server/fill.h"
#include "spice/server/regions.h"

/* From so many changed strips on it pays to look for moves. */
#define MOVE_MIN_STRIPS 512
/* The part of what changed that may be left when a known move has explained the rest. */
#define MOVED_ENOUGH 4
/* A picture is cut into pieces of so many pixels, so that a slow client need not take more than one too many. */
#define PIECE_PIXELS (256 * 1024)
/* The first picture of a surface goes in one piece (spicy-screenshot takes the first thing drawn for the whole). */
#define FIRST_PIXELS (4096 * 4096)
/* The pixels of an update. */
#define MIN_BUDGET (64 * 1024)
#define MAX_BUDGET (1024 * 1024)
/* From so many strips of gradual colours sent in vain on it pays to cut closer. */
#define WASTE_STRIPS 64
/* Smaller pictures are not worth keeping at the client. */
#define CACHE_MIN_STRIPS 256
/* What was not drawn on for one to two of these is shown exactly, too. */
#define REFINE_NS 400000000
/* Bytes that may wait in the queue while an update goes on. */
#define QUEUE_BYTES (256 * 1024)

/* --- moves --- */

/* The rectangles, as far as they lie in `limit`. */
static void send_cover(struct display_channel *d, const struct move *m, struct cover *cover,
                       const struct rect *limit)
{
    struct rect strips;

    while (move_next(cover, m, &strips)) {
        const struct rect pixels = strips_to_pixels(&d->view.shown, &strips);
        const struct rect box = rect_intersect(&pixels, limit);
        const struct spice_msg_display_copy_bits msg = {
            .base = {.box = box},
            .src_pos = {box.left - m->dx, box.top - m->dy},
        };

        channel_send(&d->base, SPICE_MSG_DISPLAY_COPY_BITS, &msg);
        lossy_moved(&d->lossy, &box, m->dx, m->dy);
    }
}

static void try_moves(struct display_channel *d, struct change *c, const struct move *moves,
                      size_t count)
{
    const struct rect all = {0, 0, c->now->width, c->now->height};
    struct cover cover;

    for (size_t i = 0; i < count && c->count >= MOVE_MIN_STRIPS; i++) {
        move_take(c, &moves[i], &cover);
        if (cover.count)
            move_remember(&d->moves, &moves[i]);
        send_cover(d, &moves[i], &cover, &all);
    }
}

static void send_moves(struct display_channel *d, struct change *c)
{
    const struct copied hint = d->hint;
    struct move moves[MOVE_MAX_FOUND];
    struct cover cover;
    uint32_t before = c->count;

    d->hint = (struct copied){0};
    if (hint.by.dx || hint.by.dy)
        move_remember(&d->moves, &hint.by);
    if (c->count < MOVE_MIN_STRIPS || d->fresh || d->refining)
        return; /* refining: what it would come from may be no more exact */
    edges_take(&d->edges, c, &hint, &cover);
    send_cover(d, &hint.by, &cover, &hint.to);
    try_moves(d, c, moves, move_recall(c, &d->moves, moves));
    if (c->count < MAX(MOVE_MIN_STRIPS, before / MOVED_ENOUGH))
        return;
    try_moves(d, c, moves, move_search_vertical(c, moves));
    try_moves(d, c, moves, move_search_pixels(c, &d->moves, moves));
}

/* --- fills --- */

static void send_fill(struct display_channel *d, const struct rect *strips, uint32_t colour)
{
    const struct spice_msg_display_draw_fill msg = {
        .base = {.box = strips_to_pixels(&d->view.shown, strips)},
        .brush = {.type = SPICE_BRUSH_TYPE_SOLID, .color = colour},
        .rop = SPICE_ROPD_OP_PUT,
    };

    channel_send(&d->base, SPICE_MSG_DISPLAY_DRAW_FILL, &msg);
    lossy_remove(&d->lossy, &msg.base.box);
}

static void send_fills(struct display_channel *d, struct change *c)
{
    struct cover cover;

    fill_take(c, &cover);
    for (size_t i = 0; i < cover.count; i++)
        send_fill(d, &cover.rects[i].rect, (uint32_t)cover.rects[i].kind);
}

/* --- pictures --- */

static void leave_behind(struct display_channel *d, const struct rect *strips)
{
    const struct rect pixels = strips_to_pixels(&d->view.shown, strips);

    view_damage(&d->view, &pixels);
}

/* The number under which the client may keep this content; 0: it is too small for that. Of what is outside of `pixels`
 * it says more than it must. */
static uint64_t content_id(const struct change *c, const struct rect *strips, const struct rect *pixels)
{
    uint64_t id = (uint64_t)(pixels->right - pixels->left) << 32 | (uint32_t)(pixels->bottom - pixels->top);

    if (rect_area(strips) < CACHE_MIN_STRIPS)
        return 0;
    id = strip_combine(c->key, id, pixels->left % STRIP);
    for (int32_t y = strips->top; y < strips->bottom; y++)
        for (int32_t x = strips->left; x < strips->right; x++)
            id = strip_combine(c->key, id, strip_row(c->now, y)[x]);
    return id;
}

static void send_image(struct display_channel *d, const struct rect *box, struct spice_image *image)
{
    struct spice_msg_display_draw_copy msg = {
        .base = {.box = *box},
        .src = image,
        .src_area = {0, 0, image->width, image->height},
        .rop = SPICE_ROPD_OP_PUT,
        .scale_mode = SPICE_IMAGE_SCALE_MODE_NEAREST,
    };

    channel_send(&d->base, SPICE_MSG_DISPLAY_DRAW_COPY, &msg);
}

/* What the client has kept of earlier pictures. */
static bool send_cached(struct display_channel *d, struct change *c, const struct rect *strips,
                        const struct rect *box, uint64_t id)
{
    struct spice_image image = {.id = id,
                                .type = SPICE_IMAGE_TYPE_FROM_CACHE,
                                .width = box->right - box->left,
                                .height = box->bottom - box->top};

    if (!id || !pixmap_cache_use(&d->cache, id))
        return false;
    send_image(d, box, &image);
    lossy_remove(&d->lossy, box);
    change_done(c, strips);
    return true;
}

/* The rectangle in pieces, as far as the budget goes. */
static void add_pieces(struct display_channel *d, struct change *c, struct batch *batch,
                       const struct rect *strips, size_t piece_pixels, size_t budget)
{
    struct rect pixels = view_tighten(&d->view, c->changed, strips), piece = *strips;
    int32_t height = pixels.bottom - pixels.top;
    int32_t pieces = DIV_ROUND_UP(rect_area(&pixels), piece_pixels);
    int32_t rows = DIV_ROUND_UP(height, pieces);

    for (; piece.top < strips->bottom && batch->pixel_count < budget; piece.top = piece.bottom) {
        uint64_t id;

        piece.bottom = MIN(piece.top + rows, strips->bottom);
        pixels = view_tighten(&d->view, c->changed, &piece);
        id = content_id(c, &piece, &pixels);
        if (!send_cached(d, c, &piece, &pixels, id) &&
            batch_add(batch, c->surface, c->now, &piece, &pixels, id))
            break;
    }
    piece.bottom = strips->bottom;
    if (!rect_empty(&piece))
        leave_behind(d, &piece);
}

/* Whether much of the region did not change, and would be no cheaper than what did. */
static bool is_wasteful(const struct change *c, const struct rect *strips)
{
    const struct rect pixels = strips_to_pixels(c->now, strips);
    const struct image image = {
        .data = (uint8_t *)(surface_row(c->surface, pixels.top) + pixels.left),
        .width = pixels.right - pixels.left,
        .height = pixels.bottom - pixels.top,
        .stride = c->surface->stride,
        .format = SPICE_BITMAP_FMT_32BIT,
    };

    return rect_area(strips) - grid_count(c->changed, strips) > WASTE_STRIPS && content_is_gradual(&image);
}

static void send_region(struct display_channel *d, struct change *c, struct batch *batch, const struct rect *region,
                        size_t budget)
{
    struct rect parts[REGIONS_MAX];
    size_t count = 1;
    uint32_t colour;

    if (fill_is_flat(c, region, &colour)) {
        change_done(c, region);
        send_fill(d, region, colour);
        return;
    }
    parts[0] = *region;
    if (is_wasteful(c, region))
        count = regions_find(c->changed, region, REGIONS_COSTLY, parts);
    for (size_t i = 0; i < count; i++)
        add_pieces(d, c, batch, &parts[i], PIECE_PIXELS, budget);
}

static void send_pictures(struct display_channel *d, struct change *c)
{
    const struct strip_map *now = c->now;
    const struct rect all = {0, 0, now->columns, now->height};
    struct batch *batch = encoding_batch(d->encoding);
    struct rect regions[REGIONS_MAX];
    size_t count = regions_find(c->changed, &all, REGIONS_PLAIN, regions), budget;

    batch->wish = (struct picture_wish){
        .compression = d->compression,
        .lz4 = channel_has_cap(&d->base, SPICE_DISPLAY_CAP_LZ4_COMPRESSION),
        .hurry = d->fresh && d->base.params.stream->local,
        .lossy = d->lossy_way && !d->refining,
        .no_zlib = d->port->zlib == WAN_NEVER,
    };
    batch->in_place = picture_is_quick(&batch->wish) ? c->surface : NULL;
    video_capture(d, c, batch);
    budget = batch->pixel_count + d->budget;
    if (d->fresh && (uint64_t)now->width * now->height <= FIRST_PIXELS)
        add_pieces(d, c, batch, &all, FIRST_PIXELS, FIRST_PIXELS);
    else
        for (size_t i = 0; i < count; i++)
            send_region(d, c, batch, &regions[i], budget);
    encoding_start(d->encoding, d);
}

static bool can_queue_more(struct display_channel *d)
{
    if (d->base.queued > QUEUE_BYTES)
        channel_flush(&d->base);
    return !d->base.closed && d->base.queued < QUEUE_BYTES &&
           d->base.unacked < 2 * DISPLAY_ACK_WINDOW;
}

/* Whether the client shall keep this picture; makes room for it. */
static bool keep(struct display_channel *d, const struct batch_piece *p)
{
    uint64_t gone[PIXMAP_CACHE_MAX_COUNT];
    struct spice_resource_id resources[PIXMAP_CACHE_MAX_COUNT];
    struct spice_msg_display_inval_list msg = {.resources = resources};
    size_t count;

    if (!p->id || pixmap_cache_use(&d->cache, p->id) ||
        !pixmap_cache_add(&d->cache, p->id, (uint64_t)p->picture.width * p->picture.height, gone,
                          &count))
        return false;
    for (; msg.count < count; msg.count++)
        resources[msg.count] = (struct spice_resource_id){SPICE_RES_TYPE_PIXMAP, gone[msg.count]};
    if (count)
        channel_send(&d->base, SPICE_MSG_DISPLAY_INVAL_LIST, &msg);
    return true;
}

static void send_picture(struct display_channel *d, const struct batch *batch,
                         const struct batch_piece *p)
{
    struct spice_image image = picture_image(&p->picture, &batch->out);
    bool exact = p->picture.type != SPICE_IMAGE_TYPE_JPEG;

    image.id = p->id && exact ? p->id : ++d->image_id;
    if (exact && keep(d, p))
        image.flags = SPICE_IMAGE_FLAGS_CACHE_ME;
    send_image(d, &p->rect, &image);
    (exact ? lossy_remove : lossy_add)(&d->lossy, &p->rect);
    batch_shown(batch, p, &d->view.shown);
}

void display_send_batch(struct display_channel *d, struct batch *batch)
{
    size_t sent = 0;

    for (; sent < batch->count && batch->pieces[sent].video; sent++) /* later ones would build on what is left out */
        video_send(d, batch, &batch->pieces[sent]);
    while (sent < batch->count && !batch->pieces[sent].err && can_queue_more(d))
        send_picture(d, batch, &batch->pieces[sent++]);
    if (d->base.closed)
        return;
    encoding_withdraw(d->encoding, sent);
    for (size_t i = sent; i < batch->count; i++)
        leave_behind(d, &batch->pieces[i].strips);
    d->budget = sent == batch->count ? MIN(2 * d->budget, MAX_BUDGET) : MAX(d->budget / 2, MIN_BUDGET);
    if (d->fresh)
        channel_send(&d->base, SPICE_MSG_DISPLAY_MARK, NULL);
    d->fresh = false;
    video_mark_lossy(d);
    display_updated(d, d->changed);
}

/* With nothing else to send: what is shown nearly, and has rested, counts as not shown at all. */
static void refine(struct display_channel *d)
{
    struct rect pixels;
    uint64_t taken = 0;

    bool must = d->refine_by && d->update_start >= d->refine_by;

    d->refining = false;
    if (!d->lossy.any || (d->view.behind.any && !must) || d->update_start < d->refine_at)
        return;
    for (; taken < d->budget && lossy_take(&d->lossy, &pixels); taken += rect_area(&pixels)) {
        const struct rect strips = strips_of_pixels(&pixels);

        view_forget(&d->view, &strips);
        d->refining = true;
    }
    if (!d->refining) {
        d->refine_by = 0;
        lossy_age(&d->lossy);
        d->refine_at = d->update_start + REFINE_NS;
    }
}

void display_update(struct display_channel *d)
{
    struct display_port *port = d->port;
    struct change c = {
        .surface = port_surface(port),
        .key = &port->print.key,
        .now = &port->print.now,
        .view = &d->view,
        .changed = &port->changed,
        .scratch = &port->scratch,
    };

    video_begin(d);
    refine(d);
    fingerprint_refresh(&port->print, c.surface);
    shown_apply(&d->brought, &d->view, c.now, c.surface);
    shown_fini(&d->brought);
    c.count = view_compare(&d->view, c.now, c.changed);
    d->changed = c.count;
    video_take(d, &c);
    c.bounds = grid_bounds(c.changed, c.changed);
    send_moves(d, &c);
    if (!d->fresh)
        send_fills(d, &c);
    video_note(d, &c);
    send_pictures(d, &c);
}
