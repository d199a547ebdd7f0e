#include "drawing.h"

#include <spice/enums.h>
#include <spice/qxl_dev.h>

#if __STDC_HOSTED__
#include <string.h>
#else
#include "payload.h"
#endif

/* Small: there are machines on which guests run a million instructions a second. */
#define WIDTH  120
#define HEIGHT 90
#define MARGIN 16 /* boxes may reach out of the surface */

static uint32_t next(struct drawing_random *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 17;
    r->state ^= r->state << 5;
    return r->state * 0x9e3779b1u >> 4;
}

static int32_t between(struct drawing_random *r, int32_t low, int32_t high)
{
    return low + (int32_t)(next(r) % (uint32_t)(high - low + 1));
}

static bool one_in(struct drawing_random *r, unsigned n)
{
    return next(r) % n == 0;
}

/* --- what pictures are made of --- */

void drawing_bytes(uint32_t seed, uint8_t *bytes, size_t size)
{
    struct drawing_random r = {seed | 1};

    for (size_t i = 0; i < size; i += 4) {
        uint32_t word = (next(&r), r.state);

        memcpy(bytes + i, &word, size - i < 4 ? size - i : 4);
    }
}

void drawing_picture_bytes(const struct drawing_picture *p, uint8_t *bytes)
{
    drawing_bytes(p->seed, bytes, (size_t)p->stride * p->height);
    if (p->format != SPICE_BITMAP_FMT_RGBA)
        return;
    for (size_t i = 0; i + 3 < (size_t)p->stride * p->height; i += 4)
        for (unsigned k = 0; k < 3; k++)
            bytes[i + k] &= bytes[i + 3];
}

uint32_t drawing_palette(const struct drawing_picture *p, unsigned i)
{
    struct drawing_random r = {(p->seed + 1 + i * 7919) | 1};

    next(&r);
    return i < p->colors ? next(&r) & 0xffffff : 0;
}

unsigned drawing_bitmap_bits(uint8_t format)
{
    switch (format) {
    case SPICE_BITMAP_FMT_1BIT_LE:
    case SPICE_BITMAP_FMT_1BIT_BE:
        return 1;
    case SPICE_BITMAP_FMT_4BIT_LE:
    case SPICE_BITMAP_FMT_4BIT_BE:
        return 4;
    case SPICE_BITMAP_FMT_8BIT:
    case SPICE_BITMAP_FMT_8BIT_A:
        return 8;
    case SPICE_BITMAP_FMT_16BIT:
        return 16;
    case SPICE_BITMAP_FMT_24BIT:
        return 24;
    default:
        return 32;
    }
}

unsigned drawing_surface_bits(uint32_t format)
{
    switch (format) {
    case SPICE_SURFACE_FMT_1_A:
        return 1;
    case SPICE_SURFACE_FMT_8_A:
        return 8;
    case SPICE_SURFACE_FMT_16_555:
    case SPICE_SURFACE_FMT_16_565:
        return 16;
    default:
        return 32;
    }
}

uint32_t drawing_glyph_bytes(const struct drawing *d, unsigned i)
{
    return (d->glyphs[i].width * d->glyph_bits + 7) / 8 * d->glyphs[i].height;
}

bool drawing_takes_stream(uint8_t type, uint8_t format, uint16_t width, uint16_t height)
{
    return (type == SPICE_IMAGE_TYPE_QUIC || type == SPICE_IMAGE_TYPE_LZ_RGB) && drawing_bitmap_bits(format) >= 16 &&
           width <= 70 && height <= 70;
}

/* --- surfaces --- */

void drawing_start(struct drawing_random *r, uint32_t seed, struct drawing_surface surfaces[DRAWING_SURFACES])
{
    static const uint32_t primary[] = {SPICE_SURFACE_FMT_32_xRGB, SPICE_SURFACE_FMT_32_xRGB, SPICE_SURFACE_FMT_32_ARGB,
                                       SPICE_SURFACE_FMT_16_565, SPICE_SURFACE_FMT_16_555};
    static const uint32_t others[DRAWING_SURFACES] = {
        0, SPICE_SURFACE_FMT_32_ARGB, SPICE_SURFACE_FMT_32_xRGB, SPICE_SURFACE_FMT_16_565, SPICE_SURFACE_FMT_16_555,
        SPICE_SURFACE_FMT_8_A, SPICE_SURFACE_FMT_1_A};

    r->state = seed * 2654435761u | 1;
    for (unsigned i = 0; i < 4; i++)
        next(r);
    surfaces[0] = (struct drawing_surface){primary[next(r) % 5], WIDTH, HEIGHT, one_in(r, 3)};
    for (unsigned i = 1; i < DRAWING_SURFACES; i++)
        surfaces[i] = (struct drawing_surface){others[i], (uint16_t)between(r, 12, 80), (uint16_t)between(r, 12, 60),
                                               one_in(r, 3)};
}

/* --- the parts of a command --- */

static struct drawing_box random_box(struct drawing_random *r, int32_t width, int32_t height, int32_t margin)
{
    struct drawing_box b = {.left = between(r, -margin, width - 1), .top = between(r, -margin, height - 1)};

    b.right = between(r, b.left + 1, width + margin);
    b.bottom = between(r, b.top + 1, height + margin);
    if (!one_in(r, 4)) { /* mostly small ones */
        b.right = b.left + 1 + (b.right - b.left) / 3;
        b.bottom = b.top + 1 + (b.bottom - b.top) / 3;
    }
    return b;
}

static uint16_t random_piece(struct drawing_random *r)
{
    return (uint16_t)(one_in(r, 2) ? 0 : between(r, 1, 200));
}

static void random_bitmap(struct drawing_random *r, struct drawing_picture *p, uint8_t format)
{
    unsigned bits = drawing_bitmap_bits(format);

    *p = (struct drawing_picture){.kind = DRAWING_BITMAP, .format = format, .top_down = !one_in(r, 3)};
    p->width = (uint16_t)between(r, 1, 48);
    p->height = (uint16_t)between(r, 1, 36);
    p->stride = (p->width * bits + 7) / 8 + (one_in(r, 2) ? 0 : next(r) % 9);
    if (format == SPICE_BITMAP_FMT_RGBA || one_in(r, 2))
        p->stride = (p->stride + 3) & ~3u;
    p->seed = next(r);
    p->piece = random_piece(r);
    if (format == SPICE_BITMAP_FMT_8BIT_A)
        return;
    if (bits == 1)
        p->colors = one_in(r, 3) ? 0 : 2;
    else if (bits <= 8)
        p->colors = (uint16_t)(one_in(r, 3) ? between(r, 1, 1 << bits) : 1 << bits);
}

static uint8_t random_format(struct drawing_random *r)
{
    static const uint8_t formats[] = {
        SPICE_BITMAP_FMT_1BIT_LE, SPICE_BITMAP_FMT_1BIT_BE, SPICE_BITMAP_FMT_4BIT_LE, SPICE_BITMAP_FMT_4BIT_BE,
        SPICE_BITMAP_FMT_8BIT,    SPICE_BITMAP_FMT_16BIT,   SPICE_BITMAP_FMT_24BIT,   SPICE_BITMAP_FMT_32BIT,
        SPICE_BITMAP_FMT_32BIT,   SPICE_BITMAP_FMT_RGBA,    SPICE_BITMAP_FMT_RGBA,    SPICE_BITMAP_FMT_8BIT_A};

    return formats[next(r) % sizeof(formats)];
}

static void random_picture(struct drawing_random *r, const struct drawing_surface *surfaces,
                           const struct drawing_streams *streams, struct drawing_picture *p)
{
    unsigned what = next(r) % 8;

    if (what == 0) {
        *p = (struct drawing_picture){.kind = DRAWING_SURFACE, .surface = (uint8_t)(next(r) % DRAWING_SURFACES)};
        p->width = surfaces[p->surface].width;
        p->height = surfaces[p->surface].height;
    } else if (what == 1 && streams->count) {
        *p = (struct drawing_picture){.kind = DRAWING_STREAM, .stream = (uint16_t)(next(r) % streams->count)};
        p->width = streams->sizes[p->stream].width;
        p->height = streams->sizes[p->stream].height;
    } else {
        random_bitmap(r, p, random_format(r));
    }
}

/* A part of the picture; then the box is made as large, or it is scaled to the box. */
static void random_area(struct drawing_random *r, struct drawing *d)
{
    d->area = random_box(r, d->source.width, d->source.height, 0);
    d->scale_mode = (uint8_t)(next(r) % 2);
    if (one_in(r, 3))
        return;
    d->box.right = d->box.left + d->area.right - d->area.left;
    d->box.bottom = d->box.top + d->area.bottom - d->area.top;
}

static void random_source(struct drawing_random *r, const struct drawing_surface *surfaces,
                          const struct drawing_streams *streams, struct drawing *d)
{
    const struct drawing_surface *s = &surfaces[d->surface];

    random_picture(r, surfaces, streams, &d->source);
    if (one_in(r, 10)) {
        d->source = (struct drawing_picture){.kind = DRAWING_SELF, .self = random_box(r, s->width, s->height, 0)};
        d->source.width = (uint16_t)(d->source.self.right - d->source.self.left);
        d->source.height = (uint16_t)(d->source.self.bottom - d->source.self.top);
    }
    random_area(r, d);
}

static void random_brush(struct drawing_random *r, const struct drawing_surface *surfaces,
                         const struct drawing_streams *streams, struct drawing_brush *b, bool may_be_none)
{
    *b = (struct drawing_brush){.type = SPICE_BRUSH_TYPE_SOLID, .color = next(r) ^ next(r) << 16};
    if (may_be_none && one_in(r, 12))
        b->type = SPICE_BRUSH_TYPE_NONE;
    if (!one_in(r, 3))
        return;
    b->type = SPICE_BRUSH_TYPE_PATTERN;
    b->x = between(r, -100, 100);
    b->y = between(r, -100, 100);
    random_picture(r, surfaces, streams, &b->pattern);
}

static void random_mask(struct drawing_random *r, struct drawing *d)
{
    if (!one_in(r, 3))
        return;
    d->masked = true;
    d->mask_inverted = one_in(r, 2);
    d->mask_x = between(r, -10, 10);
    d->mask_y = between(r, -10, 10);
    random_bitmap(r, &d->mask, one_in(r, 2) ? SPICE_BITMAP_FMT_1BIT_LE : SPICE_BITMAP_FMT_1BIT_BE);
}

static uint16_t random_rop(struct drawing_random *r, uint16_t inversions)
{
    uint16_t op = (uint16_t)(SPICE_ROPD_OP_PUT << next(r) % 7);

    if (one_in(r, 2))
        return SPICE_ROPD_OP_PUT;
    return op | (uint16_t)(next(r) & (uint32_t)(inversions | SPICE_ROPD_INVERS_RES));
}

static void random_clip(struct drawing_random *r, const struct drawing_surface *s, struct drawing *d)
{
    if (!one_in(r, 3))
        return;
    d->clip_count = 1 + next(r) % DRAWING_CLIPS;
    d->clip_piece = random_piece(r);
    for (unsigned i = 0; i < d->clip_count; i++)
        d->clips[i] = random_box(r, s->width, s->height, MARGIN);
}

static void random_transform(struct drawing_random *r, uint32_t m[6])
{
    for (unsigned i = 0; i < 6; i++)
        m[i] = (uint32_t)between(r, -0x8000, 0x8000);
    m[0] += 0x10000;
    m[4] += 0x10000;
    m[2] *= 16;
    m[5] *= 16;
}

/* Alpha on pictures that have none is nowhere defined: there the destination counts as without it only where it is. */
static void random_composite(struct drawing_random *r, const struct drawing_surface *surfaces,
                             const struct drawing_streams *streams, struct drawing *d)
{
    static const uint8_t ops[] = {0,  1,  2,  3,  3,    3,    4,    5,    6,    7,    8,    9,    10,   11,
                                  12, 13, 48, 49, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3e};

    random_picture(r, surfaces, streams, &d->source);
    d->composite = ops[next(r) % sizeof(ops)] | next(r) % 2 << 8 | next(r) % 2 << 11 | next(r) % 4 << 14 | next(r) % 4 << 16;
    if (one_in(r, 4))
        d->composite |= SPICE_COMPOSITE_COMPONENT_ALPHA;
    if (one_in(r, 4))
        d->composite |= SPICE_COMPOSITE_SOURCE_OPAQUE;
    if (surfaces[d->surface].format != SPICE_SURFACE_FMT_32_ARGB && one_in(r, 4))
        d->composite |= SPICE_COMPOSITE_DEST_OPAQUE;
    d->from_x = between(r, -10, 10);
    d->from_y = between(r, -10, 10);
    d->transformed = one_in(r, 3);
    random_transform(r, d->transform);
    if (!one_in(r, 2))
        return;
    d->masked = true;
    random_picture(r, surfaces, streams, &d->mask);
    if (one_in(r, 2))
        random_bitmap(r, &d->mask, SPICE_BITMAP_FMT_8BIT_A);
    else if (one_in(r, 4))
        d->composite |= SPICE_COMPOSITE_MASK_OPAQUE;
    d->mask_x = between(r, -10, 10);
    d->mask_y = between(r, -10, 10);
    d->mask_transformed = one_in(r, 3);
    random_transform(r, d->mask_transform);
}

static void random_text(struct drawing_random *r, const struct drawing_surface *surfaces,
                        const struct drawing_streams *streams, struct drawing *d)
{
    const struct drawing_surface *s = &surfaces[d->surface];
    static const uint8_t bits[] = {1, 4, 8};

    d->glyph_count = next(r) % (DRAWING_GLYPHS + 1);
    d->glyph_bits = bits[next(r) % 3];
    d->glyphs_top_down = one_in(r, 2);
    d->glyph_seed = next(r);
    d->text_piece = random_piece(r);
    for (unsigned i = 0; i < d->glyph_count; i++)
        d->glyphs[i] = (struct drawing_glyph){between(r, -10, s->width), between(r, -10, s->height), between(r, -12, 3),
                                              between(r, -12, 3), (uint16_t)(next(r) % 20), (uint16_t)(next(r) % 20)};
    d->box = random_box(r, s->width, s->height, MARGIN);
    random_brush(r, surfaces, streams, &d->brush, true);
    if (one_in(r, 2)) {
        d->back_area = random_box(r, s->width, s->height, MARGIN);
        random_brush(r, surfaces, streams, &d->back, true);
        d->back_rop = random_rop(r, SPICE_ROPD_INVERS_BRUSH | SPICE_ROPD_INVERS_DEST);
    }
}

/* Curves are straight: how others are cut into lines is nobody's law. */
static void add_curve(struct drawing_random *r, struct drawing_segment *g, const struct drawing_surface *s)
{
    int32_t x = g->x[g->count - 1], y = g->y[g->count - 1];
    int32_t dx = between(r, -s->width * 3, s->width * 3) & ~15, dy = between(r, -s->height * 3, s->height * 3) & ~15;

    for (int32_t k = 1; k <= 3; k++) {
        g->x[g->count] = x + k * dx;
        g->y[g->count++] = y + k * dy;
    }
}

static void random_segment(struct drawing_random *r, struct drawing_segment *g, const struct drawing_surface *s)
{
    unsigned points = 1 + next(r) % DRAWING_POINTS;

    *g = (struct drawing_segment){.flags = QXL_PATH_BEGIN | QXL_PATH_END};
    if (one_in(r, 4))
        g->flags |= QXL_PATH_CLOSE;
    if (one_in(r, 4))
        g->flags |= QXL_PATH_BEZIER;
    g->x[0] = between(r, -MARGIN * 16, (s->width + MARGIN) * 16);
    g->y[0] = between(r, -MARGIN * 16, (s->height + MARGIN) * 16);
    g->count = 1;
    if (g->flags & QXL_PATH_BEZIER) {
        g->x[0] &= ~15;
        g->y[0] &= ~15;
        for (unsigned i = 0; i < points; i++)
            add_curve(r, g, s);
        return;
    }
    for (; g->count < points; g->count++) {
        g->x[g->count] = between(r, -MARGIN * 16, (s->width + MARGIN) * 16);
        g->y[g->count] = between(r, -MARGIN * 16, (s->height + MARGIN) * 16);
    }
}

static void random_stroke(struct drawing_random *r, const struct drawing_surface *surfaces,
                          const struct drawing_streams *streams, struct drawing *d)
{
    const struct drawing_surface *s = &surfaces[d->surface];

    d->segment_count = 1 + next(r) % DRAWING_SEGMENTS;
    for (unsigned i = 0; i < d->segment_count; i++)
        random_segment(r, &d->segments[i], s);
    if (one_in(r, 2)) {
        d->dash_count = 1 + next(r) % DRAWING_DASHES;
        d->gap_first = one_in(r, 2);
        for (unsigned i = 0; i < d->dash_count; i++)
            d->dashes[i] = between(r, 1, 12) << 4;
    }
    d->path_piece = random_piece(r);
    d->box = random_box(r, s->width, s->height, MARGIN);
    random_brush(r, surfaces, streams, &d->brush, false);
}

/* --- a command --- */

void drawing_next(struct drawing_random *r, const struct drawing_surface surfaces[DRAWING_SURFACES],
                  const struct drawing_streams *streams, struct drawing *d)
{
    const struct drawing_surface *s;

    *d = (struct drawing){.type = (uint8_t)(next(r) % (QXL_DRAW_COMPOSITE + 1))};
    d->surface = (uint8_t)(one_in(r, 3) ? 0 : next(r) % DRAWING_SURFACES);
    s = &surfaces[d->surface];
    d->box = random_box(r, s->width, s->height, MARGIN);
    random_clip(r, s, d);
    if (d->surface && one_in(r, 40)) {
        d->type = DRAWING_REMAKE;
        return;
    }
    switch (d->type) {
    case QXL_DRAW_FILL:
        random_brush(r, surfaces, streams, &d->brush, true);
        d->rop = random_rop(r, SPICE_ROPD_INVERS_BRUSH | SPICE_ROPD_INVERS_DEST);
        random_mask(r, d);
        break;
    case QXL_DRAW_OPAQUE:
        random_source(r, surfaces, streams, d);
        random_brush(r, surfaces, streams, &d->brush, false);
        d->rop = random_rop(r, SPICE_ROPD_INVERS_BRUSH | SPICE_ROPD_INVERS_SRC);
        random_mask(r, d);
        break;
    case QXL_DRAW_COPY:
    case QXL_DRAW_BLEND:
        random_source(r, surfaces, streams, d);
        d->rop = random_rop(r, SPICE_ROPD_INVERS_SRC | SPICE_ROPD_INVERS_DEST);
        random_mask(r, d);
        break;
    case QXL_COPY_BITS:
        d->from_x = between(r, -MARGIN, s->width);
        d->from_y = between(r, -MARGIN, s->height);
        break;
    case QXL_DRAW_BLACKNESS:
    case QXL_DRAW_WHITENESS:
    case QXL_DRAW_INVERS:
        random_mask(r, d);
        break;
    case QXL_DRAW_ROP3:
        random_source(r, surfaces, streams, d);
        random_brush(r, surfaces, streams, &d->brush, false);
        d->rop3 = (uint8_t)next(r);
        random_mask(r, d);
        break;
    case QXL_DRAW_STROKE:
        random_stroke(r, surfaces, streams, d);
        d->rop = random_rop(r, SPICE_ROPD_INVERS_BRUSH | SPICE_ROPD_INVERS_DEST);
        break;
    case QXL_DRAW_TEXT:
        random_text(r, surfaces, streams, d);
        d->rop = random_rop(r, SPICE_ROPD_INVERS_BRUSH | SPICE_ROPD_INVERS_DEST);
        break;
    case QXL_DRAW_TRANSPARENT:
        random_source(r, surfaces, streams, d);
        /* Often one that is there. */
        d->key = d->source.kind == DRAWING_BITMAP && d->source.colors ? drawing_palette(&d->source, next(r) % d->source.colors)
                                                                      : next(r) % 2 * 0xffffff;
        break;
    case QXL_DRAW_ALPHA_BLEND:
        random_source(r, surfaces, streams, d);
        d->alpha = (uint8_t)(one_in(r, 3) ? 255 : next(r));
        d->alpha_flags = (uint16_t)(next(r) % 4);
        if (s->format == SPICE_SURFACE_FMT_32_ARGB)
            d->alpha_flags |= SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA;
        break;
    case QXL_DRAW_COMPOSITE:
        random_composite(r, surfaces, streams, d);
        break;
    }
}
