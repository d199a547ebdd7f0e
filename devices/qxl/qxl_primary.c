/* qxl_primary.c - the primary surface, which is the display's picture, and the change between it and the VGA's. */
#include "base/log.h"
#include "devices/qxl/qxl_record.h"

#include <spice/enums.h>

/* The display's pixels are BGRx; a primary with other ones has a copy that is. */
static bool is_bgrx(const struct canvas *c)
{
    return c->format == SPICE_SURFACE_FMT_32_xRGB || c->format == SPICE_SURFACE_FMT_32_ARGB;
}

static void update_shadow(struct qxl *q, const pixman_box32_t *box)
{
    pixman_image_composite32(PIXMAN_OP_SRC, q->surfaces[0].canvas->image, NULL, q->shadow->image,
                             box->x1, box->y1, 0, 0, box->x1, box->y1, box->x2 - box->x1,
                             box->y2 - box->y1);
}

/* Show the new primary on the display. */
static int show_primary(struct qxl *q)
{
    const struct canvas *c = q->surfaces[0].canvas;
    struct display_surface surface = {.width = c->width, .height = c->height};
    struct display_head head = {.width = c->width, .height = c->height};
    int err;

    if (!is_bgrx(c)) {
        err = canvas_create(&q->shadow, SPICE_SURFACE_FMT_32_xRGB, c->width, c->height);
        if (err)
            return err;
        update_shadow(q, &(pixman_box32_t){0, 0, c->width, c->height});
        c = q->shadow;
    }
    surface.pixels = c->pixels;
    surface.stride = c->stride;
    head_show_vga(&q->head, false);
    display_set_surface(&q->head.display, &surface);
    display_set_heads(&q->head.display, &head, 1, 1);
    return 0;
}

static bool possible(const QXLSurfaceCreate *c)
{
    bool shown = c->format == SPICE_SURFACE_FMT_32_xRGB || c->format == SPICE_SURFACE_FMT_32_ARGB ||
                 c->format == SPICE_SURFACE_FMT_16_555 || c->format == SPICE_SURFACE_FMT_16_565;

    return shown && c->width <= DISPLAY_MAX_WIDTH && c->height <= DISPLAY_MAX_HEIGHT;
}

void qxl_primary_create(struct qxl *q, const QXLSurfaceCreate *c, unsigned mode)
{
    struct qxl_surface_args args = {.format = c->format,
                                    .width = c->width,
                                    .height = c->height,
                                    .stride = c->stride,
                                    .data = c->mem,
                                    .keep = c->flags & QXL_SURF_FLAG_KEEP_DATA};

    if (qxl_surface(q, 0)) {
        qxl_bug(q, "there is a primary surface already");
        return;
    }
    if (!possible(c) || qxl_surface_create(q, 0, &args, 0) != 0) {
        qxl_bug(q, "a primary surface of %ux%u, format %u, stride %d is not possible", c->width,
                c->height, c->format, c->stride);
        return;
    }
    if (show_primary(q) != 0) {
        qxl_surface_destroy(q, 0);
        qxl_bug(q, "no memory for the primary surface");
        return;
    }
    pixman_region32_clear(&q->damage);
    __atomic_store_n(&q->mode, mode, __ATOMIC_RELEASE);
}

bool qxl_primary_destroy(struct qxl *q)
{
    if (!qxl_surface(q, 0))
        return false;
    pixman_region32_clear(&q->damage);
    qxl_cursor_reset(q);
    display_set_surface(&q->head.display, NULL);
    qxl_surface_destroy(q, 0);
    canvas_destroy(q->shadow);
    q->shadow = NULL;
    __atomic_store_n(&q->mode, QXL_MODE_UNDEFINED, __ATOMIC_RELEASE);
    return true;
}

/* The first QXL drivers' way: a mode of the ROM's table, guest addresses that are physical ones, a fixed frame buffer. */
void qxl_set_mode(struct qxl *q, uint32_t id, const uint64_t bars[QXL_MEMORY_BARS])
{
    const QXLMode *mode = qxl_rom_mode(q, id);
    QXLMemSlot slot = {bars[0], bars[0] + q->ram.size};
    QXLSurfaceCreate create;

    if (!mode) {
        qxl_bug(q, "there is no mode %u", id);
        return;
    }
    if (bars[0] == UINT64_MAX)
        return;
    create = (QXLSurfaceCreate){.width = mode->x_res,
                                .height = mode->y_res,
                                .stride = -(int32_t)mode->x_res * 4,
                                .format = SPICE_SURFACE_FMT_32_xRGB,
                                .mem = bars[0]};
    qxl_primary_destroy(q);
    q->slots[0].active = false;
    qxl_slot_add(q, 0, &slot, bars, bars[0]);
    qxl_primary_create(q, &create, QXL_MODE_COMPAT);
    q->rom->mode = id;
}

void qxl_enter_vga(struct qxl *q)
{
    if (q->mode == QXL_MODE_VGA)
        return;
    qxl_primary_destroy(q);
    qxl_cursor_reset(q);
    if (q->secondary)
        return;
    __atomic_store_n(&q->mode, QXL_MODE_VGA, __ATOMIC_RELEASE);
    head_show_vga(&q->head, true);
}

/* More rectangles than that are reported as one: each costs a sink some time, pixels that did not change cost more. */
#define MAX_DAMAGE_RECTS 1024

void qxl_report_damage(struct qxl *q)
{
    struct rect rects[64];
    pixman_box32_t *boxes;
    int count, n = 0;

    if (!pixman_region32_not_empty(&q->damage))
        return;
    boxes = pixman_region32_rectangles(&q->damage, &count);
    if (count > MAX_DAMAGE_RECTS) {
        boxes = pixman_region32_extents(&q->damage);
        count = 1;
    }
    for (int i = 0; i < count; i++) {
        if (q->shadow)
            update_shadow(q, &boxes[i]);
        rects[n++] = (struct rect){boxes[i].x1, boxes[i].y1, boxes[i].x2, boxes[i].y2};
        if (n == ARRAY_SIZE(rects) || i == count - 1) {
            display_damage(&q->head.display, rects, n);
            n = 0;
        }
    }
    pixman_region32_clear(&q->damage);
}

void qxl_report_moved(struct qxl *q, int32_t dx, int32_t dy)
{
    const pixman_box32_t *box = pixman_region32_extents(&q->damage);
    const struct rect to = {box->x1, box->y1, box->x2, box->y2};

    if (q->shadow || rect_empty(&to))
        return; /* as any other damage, later */
    display_moved(&q->head.display, &to, dx, dy);
    pixman_region32_clear(&q->damage);
}

/* Cut to what of the primary it shows; false: nothing, as of one that is off. */
static bool place_head(const struct canvas *primary, const QXLHead *h, struct display_head *head)
{
    const struct rect all = canvas_bounds(primary);
    struct rect r = {MIN(h->x, primary->width), MIN(h->y, primary->height)};

    r.right = r.left + MIN(h->width, primary->width);
    r.bottom = r.top + MIN(h->height, primary->height);
    r = rect_intersect(&r, &all);
    *head = (struct display_head){h->id, r.left, r.top, r.right - r.left, r.bottom - r.top};
    return !rect_empty(&r);
}

static bool is_among(uint32_t id, const struct display_head *heads, size_t count)
{
    while (count)
        if (heads[--count].id == id)
            return true;
    return false;
}

/* What part of the primary each of the guest's monitors shows. Clients know them by their ids, each of which is one's. */
void qxl_monitors_config(struct qxl *q, QXLPHYSICAL addr)
{
    const struct qxl_surface *primary = qxl_surface(q, 0);
    struct display_head heads[QXL_MAX_HEADS];
    QXLHead all[QXL_MAX_HEADS];
    QXLMonitorsConfig config;
    unsigned wanted;
    size_t count = 0;

    if (qxl_read(q, addr, &config, sizeof(config)) ||
        qxl_read(q, addr + sizeof(config), all, (wanted = MIN(config.count, q->max_heads)) * sizeof(*all))) {
        qxl_bug(q, "the monitors' configuration lies outside of its memory slot");
        return;
    }
    if (!primary)
        return;
    for (unsigned i = 0; i < wanted; i++)
        if (all[i].id < q->max_heads && !is_among(all[i].id, heads, count))
            count += place_head(primary->canvas, &all[i], &heads[count]);
    display_set_heads(&q->head.display, heads, count, MIN(MAX(config.max_allowed, 1), q->max_heads));
    qxl_record_heads(q);
}
