#include "tests/lib/replay.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static pixman_format_code_t surface_format(uint32_t format)
{
    switch (format) {
    case SPICE_SURFACE_FMT_16_555:
        return PIXMAN_x1r5g5b5;
    case SPICE_SURFACE_FMT_16_565:
        return PIXMAN_r5g6b5;
    case SPICE_SURFACE_FMT_32_xRGB:
        return PIXMAN_x8r8g8b8;
    case SPICE_SURFACE_FMT_32_ARGB:
        return PIXMAN_a8r8g8b8;
    default:
        return 0;
    }
}

int replay_init(struct replay *r, const struct script *s)
{
    *r = (struct replay){.count = s->surfaces};
    pixman_region32_init(&r->drawn);
    r->surfaces = calloc(r->count, sizeof(pixman_image_t *));
    return r->surfaces ? 0 : -ENOMEM;
}

void replay_fini(struct replay *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->surfaces[i])
            pixman_image_unref(r->surfaces[i]);
    free(r->surfaces);
    pixman_region32_fini(&r->drawn);
}

void replay_forget(struct replay *r)
{
    pixman_region32_clear(&r->drawn);
}

/* --- surfaces --- */

static int create(struct replay *r, uint32_t id, uint32_t format, uint32_t width, uint32_t height, uint32_t stride,
                  const void *pixels)
{
    pixman_format_code_t f = surface_format(format);
    pixman_image_t *from, *to;

    if (!f || id >= r->count)
        return fail(-ENOTSUP, "replay: surface %u has the format %u", id, format);
    from = pixman_image_create_bits(f, width, height, (uint32_t *)pixels, stride);
    to = pixman_image_create_bits(f, width, height, NULL, 0);
    pixman_image_composite32(PIXMAN_OP_SRC, from, NULL, to, 0, 0, 0, 0, 0, 0, width, height);
    pixman_image_unref(from);
    if (r->surfaces[id])
        pixman_image_unref(r->surfaces[id]);
    r->surfaces[id] = to;
    return 0;
}

static int replace_primary(struct replay *r, const struct script_primary *p)
{
    replay_forget(r);
    pixman_region32_union_rect(&r->drawn, &r->drawn, 0, 0, p->width, p->height);
    return create(r, 0, p->format, p->width, p->height, p->stride, p->pixels);
}

static int surface(struct replay *r, const QXLSurfaceCmd *c)
{
    const QXLSurface *s = &c->u.surface_create;

    if (c->type == QXL_SURFACE_CMD_CREATE)
        return create(r, c->surface_id, s->format, s->width, s->height, s->stride, script_pointer(s->data));
    if (c->surface_id < r->count && r->surfaces[c->surface_id]) {
        pixman_image_unref(r->surfaces[c->surface_id]);
        r->surfaces[c->surface_id] = NULL;
    }
    return 0;
}

/* --- drawing --- */

static void draw_region(const QXLDrawable *d, pixman_image_t *to, pixman_region32_t *region)
{
    const QXLClipRects *clip = script_pointer(d->clip.data);

    pixman_region32_init_rect(region, d->bbox.left, d->bbox.top, d->bbox.right - d->bbox.left,
                              d->bbox.bottom - d->bbox.top);
    pixman_region32_intersect_rect(region, region, 0, 0, pixman_image_get_width(to), pixman_image_get_height(to));
    if (d->clip.type == SPICE_CLIP_TYPE_RECTS) {
        const QXLRect *rects = (const QXLRect *)clip->chunk.data;
        pixman_region32_t all;

        pixman_region32_init(&all);
        for (uint32_t i = 0; i < clip->num_rects; i++)
            pixman_region32_union_rect(&all, &all, rects[i].left, rects[i].top, rects[i].right - rects[i].left,
                                       rects[i].bottom - rects[i].top);
        pixman_region32_intersect(region, region, &all);
        pixman_region32_fini(&all);
    }
}

static int fill(const QXLDrawable *d, pixman_image_t *to, pixman_region32_t *region)
{
    const QXLFill *f = &d->u.fill;
    uint32_t c = f->brush.u.color;
    pixman_color_t color = {(c >> 16 & 255) * 257, (c >> 8 & 255) * 257, (c & 255) * 257, (c >> 24) * 257};
    bool is_32 = PIXMAN_FORMAT_BPP(pixman_image_get_format(to)) == 32;
    int n;
    pixman_box32_t *boxes = pixman_region32_rectangles(region, &n);

    if (f->brush.type != SPICE_BRUSH_TYPE_SOLID || f->rop_descriptor != SPICE_ROPD_OP_PUT || f->mask.bitmap || !is_32)
        return fail(-ENOTSUP, "replay: a fill that is not plain");
    pixman_image_fill_boxes(PIXMAN_OP_SRC, to, &color, n, boxes);
    return 0;
}

static pixman_image_t *bitmap(const QXLBitmap *b)
{
    pixman_format_code_t f = b->format == SPICE_BITMAP_FMT_32BIT  ? PIXMAN_x8r8g8b8
                             : b->format == SPICE_BITMAP_FMT_RGBA ? PIXMAN_a8r8g8b8
                                                                  : 0;
    uint8_t *data = script_pointer(b->data);
    int stride = (int)b->stride;

    if (!f)
        return NULL;
    if (!(b->flags & QXL_BITMAP_TOP_DOWN)) {
        data += (size_t)stride * (b->y - 1);
        stride = -stride;
    }
    return pixman_image_create_bits(f, b->x, b->y, (uint32_t *)data, stride);
}

static pixman_image_t *source(struct replay *r, const QXLImage *i)
{
    uint32_t id;

    if (!i)
        return NULL;
    if (i->descriptor.type == SPICE_IMAGE_TYPE_BITMAP)
        return bitmap(&i->bitmap);
    id = i->surface_image.surface_id;
    return id < r->count && r->surfaces[id] ? pixman_image_ref(r->surfaces[id]) : NULL;
}

/* Pixels of `from`, whose (dx, dy) meets the destination's (0, 0), as they are. */
static void put(pixman_image_t *from, pixman_image_t *to, pixman_region32_t *region, int dx, int dy)
{
    int n;
    const pixman_box32_t *b = pixman_region32_rectangles(region, &n);

    for (int i = 0; i < n; i++)
        pixman_image_composite32(PIXMAN_OP_SRC, from, NULL, to, b[i].x1 + dx, b[i].y1 + dy, 0, 0, b[i].x1, b[i].y1,
                                 b[i].x2 - b[i].x1, b[i].y2 - b[i].y1);
}

static int copy(struct replay *r, const QXLDrawable *d, pixman_image_t *to, pixman_region32_t *region)
{
    const QXLCopy *c = &d->u.copy;
    bool scaled = c->src_area.right - c->src_area.left != d->bbox.right - d->bbox.left ||
                  c->src_area.bottom - c->src_area.top != d->bbox.bottom - d->bbox.top;
    pixman_image_t *from = source(r, script_pointer(c->src_bitmap));

    if (!from || from == to || scaled || c->rop_descriptor != SPICE_ROPD_OP_PUT || c->mask.bitmap) {
        if (from)
            pixman_image_unref(from);
        return fail(-ENOTSUP, "replay: a copy that is not plain");
    }
    put(from, to, region, c->src_area.left - d->bbox.left, c->src_area.top - d->bbox.top);
    pixman_image_unref(from);
    return 0;
}

/* By a second picture, so that it does not matter whether source and destination overlap. */
static int copy_bits(const QXLDrawable *d, pixman_image_t *to, pixman_region32_t *region)
{
    int dx = d->u.copy_bits.src_pos.x - d->bbox.left, dy = d->u.copy_bits.src_pos.y - d->bbox.top;
    int width = d->bbox.right - d->bbox.left, height = d->bbox.bottom - d->bbox.top;
    pixman_image_t *temporary = pixman_image_create_bits(pixman_image_get_format(to), width, height, NULL, 0);

    if (!temporary)
        return -ENOMEM;
    pixman_image_composite32(PIXMAN_OP_SRC, to, NULL, temporary, d->bbox.left + dx, d->bbox.top + dy, 0, 0, 0, 0,
                             width, height);
    put(temporary, to, region, -d->bbox.left, -d->bbox.top);
    pixman_image_unref(temporary);
    return 0;
}

static int draw(struct replay *r, const QXLDrawable *d)
{
    pixman_image_t *to = d->surface_id < r->count ? r->surfaces[d->surface_id] : NULL;
    pixman_region32_t region;
    int err;

    if (!to)
        return fail(-ENOTSUP, "replay: there is no surface %u", d->surface_id);
    draw_region(d, to, &region);
    switch (d->type) {
    case QXL_DRAW_NOP:
        err = 0;
        break;
    case QXL_DRAW_FILL:
        err = fill(d, to, &region);
        break;
    case QXL_DRAW_COPY:
        err = copy(r, d, to, &region);
        break;
    case QXL_COPY_BITS:
        err = copy_bits(d, to, &region);
        break;
    default:
        err = fail(-ENOTSUP, "replay: drawing operation %u", d->type);
    }
    if (d->surface_id == 0)
        pixman_region32_union(&r->drawn, &r->drawn, &region);
    pixman_region32_fini(&region);
    return err;
}

int replay_step(struct replay *r, const struct step *step)
{
    switch (step->kind) {
    case STEP_PRIMARY:
        return replace_primary(r, step->primary);
    case STEP_SURFACE:
        return surface(r, step->surface);
    case STEP_DRAW:
        return draw(r, step->draw);
    default:
        return 0;
    }
}

int replay_slice(struct replay *r, const struct script *s, uint32_t slice, size_t *at)
{
    int err = 0;

    for (; !err && *at < s->count && s->steps[*at].slice <= slice; ++*at)
        err = replay_step(r, &s->steps[*at]);
    return err;
}

/* --- comparison --- */

static uint64_t compare_row(const uint32_t *a, const uint32_t *b, uint32_t count)
{
    uint32_t differ = 0;

    for (uint32_t i = 0; i < count; i++)
        differ += ((a[i] ^ b[i]) & 0xffffff) != 0;
    return differ;
}

uint64_t replay_compare(const struct replay *r, const uint8_t *pixels, uint32_t stride, uint64_t enough)
{
    pixman_image_t *screen = r->surfaces[0];
    const uint8_t *expected = (const uint8_t *)pixman_image_get_data(screen);
    uint32_t expected_stride = pixman_image_get_stride(screen);
    uint64_t differ = 0;
    int n;
    const pixman_box32_t *b = pixman_region32_rectangles((pixman_region32_t *)&r->drawn, &n);

    for (int i = 0; i < n; i++)
        for (int y = b[i].y1; y < b[i].y2 && differ < enough; y++)
            differ += compare_row((const uint32_t *)(expected + (size_t)y * expected_stride) + b[i].x1,
                                  (const uint32_t *)(pixels + (size_t)y * stride) + b[i].x1, b[i].x2 - b[i].x1);
    return differ;
}
