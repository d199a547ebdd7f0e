/* drawing_qxl.c - a random command as the QXL structures that tell a device of it. */
#include "drawing.h"

#include <spice/enums.h>
#include <spice/qxl_dev.h>

#ifndef MIN
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif

#if __STDC_HOSTED__
#include <string.h>
#else
#include "payload.h"
#endif

/* The last kilobytes are for what is under way when it is full. */
static uint8_t *alloc(struct drawing_memory *m, size_t size, uint64_t *addr)
{
    uint64_t at = m->next;

    *addr = m->slot | at;
    if (at + size > m->end) {
        m->full = true;
        return m->base + m->end; /* room that the caller kept for that */
    }
    m->next = (at + size + 15) & ~15ull;
    return m->base + at;
}

static QXLRect to_rect(const struct drawing_box *b)
{
    return (QXLRect){.left = b->left, .top = b->top, .right = b->right, .bottom = b->bottom};
}

/* Data in chunks; the first has its head already, at `head`, with room for `first` bytes behind it. */
static void put_chunks(struct drawing_memory *m, QXLDataChunk *head, const uint8_t *data, size_t size, size_t first,
                       size_t piece)
{
    uint64_t addr = 0, before = 0;

    *head = (QXLDataChunk){.data_size = (uint32_t)first};
    memcpy(head->data, data, first);
    for (size_t at = first; at < size && !m->full;) {
        size_t n = MIN(size - at, piece);
        QXLDataChunk *chunk = (QXLDataChunk *)alloc(m, sizeof(*chunk) + n, &addr);

        *chunk = (QXLDataChunk){.data_size = (uint32_t)n, .prev_chunk = before};
        memcpy(chunk->data, data + at, n);
        head->next_chunk = addr;
        head = chunk;
        before = addr;
        at += n;
    }
}

/* Bytes that the first chunk takes. */
static size_t first_piece(size_t size, size_t piece)
{
    return piece ? MIN(size, piece) : size;
}

/* --- pictures --- */

static uint64_t put_palette(struct drawing_memory *m, const struct drawing_picture *p)
{
    uint64_t addr;
    QXLPalette *palette;

    if (!p->colors)
        return 0;
    palette = (QXLPalette *)alloc(m, sizeof(*palette) + p->colors * 4u, &addr);
    palette->unique = p->cached ? p->seed : 0;
    palette->num_ents = p->colors;
    for (unsigned i = 0; i < p->colors; i++)
        palette->ents[i] = drawing_palette(p, i);
    return addr;
}

static uint64_t put_bitmap_data(struct drawing_memory *m, const struct drawing_picture *p)
{
    size_t size = (size_t)p->stride * p->height, first = first_piece(size, p->piece);
    uint64_t addr, scratch;
    uint8_t *data;

    if (!p->piece) {
        drawing_picture_bytes(p, alloc(m, size, &addr));
        return addr;
    }
    data = alloc(m, size, &scratch);
    drawing_picture_bytes(p, data);
    put_chunks(m, (QXLDataChunk *)alloc(m, sizeof(QXLDataChunk) + first, &addr), data, size, first, p->piece);
    return addr;
}

static uint64_t put_bitmap(struct drawing_memory *m, const struct drawing_picture *p)
{
    uint64_t addr;
    QXLImage *image = (QXLImage *)alloc(m, sizeof(image->descriptor) + sizeof(image->bitmap), &addr);

    image->descriptor =
        (QXLImageDescriptor){.type = SPICE_IMAGE_TYPE_BITMAP, .width = p->width, .height = p->height};
    if (p->cached) {
        image->descriptor.id = p->seed;
        image->descriptor.flags = QXL_IMAGE_CACHE;
    }
    image->bitmap = (QXLBitmap){.format = p->format, .x = p->width, .y = p->height, .stride = p->stride};
    image->bitmap.flags = (uint8_t)((p->top_down ? QXL_BITMAP_TOP_DOWN : 0) | (p->piece ? 0 : QXL_BITMAP_DIRECT));
    image->bitmap.palette = put_palette(m, p);
    image->bitmap.data = put_bitmap_data(m, p);
    return addr;
}

static uint64_t put_surface_picture(struct drawing_memory *m, const struct drawing_picture *p)
{
    uint64_t addr;
    QXLImage *image = (QXLImage *)alloc(m, sizeof(image->descriptor) + sizeof(image->surface_image), &addr);

    image->descriptor =
        (QXLImageDescriptor){.type = SPICE_IMAGE_TYPE_SURFACE, .width = p->width, .height = p->height};
    image->surface_image.surface_id = p->surface;
    return addr;
}

/* Behind the descriptor: the size, and a list of chunks. */
static uint64_t put_stream(struct drawing_memory *m, const struct drawing_picture *p)
{
    const uint8_t *stream = m->streams[p->stream];
    size_t head = sizeof(QXLImageDescriptor) + sizeof(uint32_t), first;
    QXLImageDescriptor descriptor = {.type = m->stream_types[p->stream], .width = p->width, .height = p->height};
    uint32_t size;
    uint64_t addr;
    uint8_t *to;

    memcpy(&size, stream, sizeof(size));
    first = MIN(size, m->words ? 60 : 61);
    to = alloc(m, head + sizeof(QXLDataChunk) + first, &addr);
    memcpy(to, &descriptor, sizeof(descriptor));
    memcpy(to + sizeof(descriptor), &size, sizeof(size));
    put_chunks(m, (QXLDataChunk *)(to + head), stream + sizeof(size), size, first, 500);
    return addr;
}

static uint64_t put_picture(struct drawing_memory *m, const struct drawing_picture *p)
{
    switch (p->kind) {
    case DRAWING_BITMAP:
        return put_bitmap(m, p);
    case DRAWING_SURFACE:
        return put_surface_picture(m, p);
    case DRAWING_STREAM:
        return put_stream(m, p);
    default:
        return 0;
    }
}

static QXLBrush put_brush(struct drawing_memory *m, const struct drawing_brush *b)
{
    QXLBrush brush = {.type = b->type, .u.color = b->color};

    if (b->type == SPICE_BRUSH_TYPE_PATTERN)
        brush.u.pattern = (QXLPattern){put_picture(m, &b->pattern), {b->x, b->y}};
    return brush;
}

static QXLQMask put_mask(struct drawing_memory *m, const struct drawing *d)
{
    QXLQMask mask = {.flags = d->mask_inverted ? SPICE_MASK_FLAGS_INVERS : 0, .pos = {d->mask_x, d->mask_y}};

    if (d->masked)
        mask.bitmap = put_picture(m, &d->mask);
    return mask;
}

/* --- lists --- */

static uint64_t put_clip(struct drawing_memory *m, const struct drawing *d)
{
    QXLRect rects[DRAWING_CLIPS];
    size_t size = d->clip_count * sizeof(rects[0]), first = first_piece(size, d->clip_piece);
    QXLClipRects *clip;
    uint64_t addr;

    for (unsigned i = 0; i < d->clip_count; i++)
        rects[i] = to_rect(&d->clips[i]);
    clip = (QXLClipRects *)alloc(m, sizeof(*clip) + first, &addr);
    clip->num_rects = d->clip_count;
    put_chunks(m, &clip->chunk, (const uint8_t *)rects, size, first, d->clip_piece);
    return addr;
}

static uint64_t put_string(struct drawing_memory *m, const struct drawing *d)
{
    size_t size = 0, bits = 0, first;
    uint64_t addr, scratch;
    uint8_t *data, *to;
    QXLString *s;

    for (unsigned i = 0; i < d->glyph_count; i++)
        bits += drawing_glyph_bytes(d, i);
    data = alloc(m, 2 * bits + d->glyph_count * sizeof(QXLRasterGlyph), &scratch);
    drawing_bytes(d->glyph_seed, data, bits);
    to = data + bits;
    for (unsigned i = 0, at = 0; i < d->glyph_count; i++) {
        const struct drawing_glyph *g = &d->glyphs[i];
        QXLRasterGlyph glyph = {{g->x, g->y}, {g->origin_x, g->origin_y}, g->width, g->height};

        memcpy(to + size, &glyph, sizeof(glyph));
        memcpy(to + size + sizeof(glyph), data + at, drawing_glyph_bytes(d, i));
        size += sizeof(glyph) + drawing_glyph_bytes(d, i);
        at += drawing_glyph_bytes(d, i);
    }
    first = first_piece(size, d->text_piece);
    s = (QXLString *)alloc(m, sizeof(*s) + first, &addr);
    s->data_size = (uint32_t)size;
    s->length = (uint16_t)d->glyph_count;
    s->flags = (uint16_t)((d->glyph_bits == 1   ? SPICE_STRING_FLAGS_RASTER_A1
                           : d->glyph_bits == 4 ? SPICE_STRING_FLAGS_RASTER_A4
                                                : SPICE_STRING_FLAGS_RASTER_A8) |
                          (d->glyphs_top_down ? SPICE_STRING_FLAGS_RASTER_TOP_DOWN : 0));
    put_chunks(m, &s->chunk, to, size, first, d->text_piece);
    return addr;
}

static uint64_t put_path(struct drawing_memory *m, const struct drawing *d)
{
    size_t size = 0, first;
    uint64_t addr, scratch;
    uint8_t *data = alloc(m, sizeof(d->segments), &scratch);
    QXLPath *path;

    for (unsigned i = 0; i < d->segment_count; i++) {
        const struct drawing_segment *g = &d->segments[i];
        QXLPathSeg head = {.flags = g->flags, .count = g->count};

        memcpy(data + size, &head, sizeof(head));
        size += sizeof(head);
        for (unsigned k = 0; k < g->count; k++, size += sizeof(QXLPointFix))
            memcpy(data + size, &(QXLPointFix){g->x[k], g->y[k]}, sizeof(QXLPointFix));
    }
    first = first_piece(size, d->path_piece);
    path = (QXLPath *)alloc(m, sizeof(*path) + first, &addr);
    path->data_size = (uint32_t)size;
    put_chunks(m, &path->chunk, data, size, first, d->path_piece);
    return addr;
}

static QXLLineAttr put_line(struct drawing_memory *m, const struct drawing *d)
{
    QXLLineAttr line = {.style_nseg = (uint8_t)d->dash_count};
    uint64_t addr;

    if (!d->dash_count)
        return line;
    line.flags = SPICE_LINE_FLAGS_STYLED | (d->gap_first ? SPICE_LINE_FLAGS_START_WITH_GAP : 0);
    memcpy(alloc(m, sizeof(d->dashes), &addr), d->dashes, sizeof(d->dashes));
    line.style = addr;
    return line;
}

static uint64_t put_transform(struct drawing_memory *m, const uint32_t values[6])
{
    uint64_t addr;

    memcpy(alloc(m, sizeof(QXLTransform), &addr), values, sizeof(QXLTransform));
    return addr;
}

static QXLComposite put_composite(struct drawing_memory *m, const struct drawing *d)
{
    QXLComposite c = {.flags = d->composite,
                      .src = put_picture(m, &d->source),
                      .src_origin = {(int16_t)d->from_x, (int16_t)d->from_y},
                      .mask_origin = {(int16_t)d->mask_x, (int16_t)d->mask_y}};

    if (d->transformed)
        c.src_transform = put_transform(m, d->transform);
    if (d->masked)
        c.mask = put_picture(m, &d->mask);
    if (d->masked && d->mask_transformed)
        c.mask_transform = put_transform(m, d->mask_transform);
    return c;
}

/* --- commands --- */

static void put_operation(struct drawing_memory *m, const struct drawing *d, QXLDrawable *p)
{
    const QXLRect area = to_rect(&d->area);

    switch (d->type) {
    case QXL_DRAW_FILL:
        p->u.fill = (QXLFill){put_brush(m, &d->brush), d->rop, put_mask(m, d)};
        break;
    case QXL_DRAW_OPAQUE:
        p->u.opaque = (QXLOpaque){put_picture(m, &d->source), area, put_brush(m, &d->brush), d->rop, d->scale_mode,
                                  put_mask(m, d)};
        break;
    case QXL_DRAW_COPY:
    case QXL_DRAW_BLEND:
        p->u.copy = (QXLCopy){put_picture(m, &d->source), area, d->rop, d->scale_mode, put_mask(m, d)};
        break;
    case QXL_COPY_BITS:
        p->u.copy_bits = (QXLCopyBits){{d->from_x, d->from_y}};
        break;
    case QXL_DRAW_BLACKNESS:
    case QXL_DRAW_WHITENESS:
    case QXL_DRAW_INVERS:
        p->u.blackness = (QXLBlackness){put_mask(m, d)};
        break;
    case QXL_DRAW_ROP3:
        p->u.rop3 = (QXLRop3){put_picture(m, &d->source), area, put_brush(m, &d->brush), d->rop3, d->scale_mode,
                              put_mask(m, d)};
        break;
    case QXL_DRAW_STROKE:
        p->u.stroke = (QXLStroke){put_path(m, d), put_line(m, d), put_brush(m, &d->brush), d->rop, SPICE_ROPD_OP_PUT};
        break;
    case QXL_DRAW_TEXT:
        p->u.text = (QXLText){put_string(m, d),          to_rect(&d->back_area), put_brush(m, &d->brush),
                              put_brush(m, &d->back),    d->rop,                 d->back_rop};
        break;
    case QXL_DRAW_TRANSPARENT:
        p->u.transparent = (QXLTransparent){put_picture(m, &d->source), area, d->key, d->key};
        break;
    case QXL_DRAW_ALPHA_BLEND:
        p->u.alpha_blend = (QXLAlphaBlend){d->alpha_flags, d->alpha, put_picture(m, &d->source), area};
        break;
    case QXL_DRAW_COMPOSITE:
        p->u.composite = put_composite(m, d);
        break;
    }
}

/* The other surfaces that it is drawn with. */
static void put_surfaces(const struct drawing *d, QXLDrawable *p)
{
    const struct drawing_picture *pictures[] = {&d->source, &d->brush.pattern, &d->mask, &d->back.pattern};
    int n = 0;

    for (int i = 0; i < 3; i++)
        p->surfaces_dest[i] = -1;
    for (int i = 0; i < 4 && n < 3; i++)
        if (pictures[i]->kind == DRAWING_SURFACE) {
            p->surfaces_rects[n] = (QXLRect){.right = pictures[i]->width, .bottom = pictures[i]->height};
            p->surfaces_dest[n++] = pictures[i]->surface;
        }
}

uint64_t drawing_encode(struct drawing_memory *m, const struct drawing *d)
{
    uint64_t addr;
    QXLDrawable *p = (QXLDrawable *)alloc(m, sizeof(*p), &addr);

    memset(p, 0, sizeof(*p));
    p->release_info.id = addr & 0xffffffff;
    p->surface_id = d->surface;
    p->effect = QXL_EFFECT_BLEND;
    p->type = d->type;
    p->bbox = to_rect(&d->box);
    put_surfaces(d, p);
    if (d->clip_count)
        p->clip = (QXLClip){SPICE_CLIP_TYPE_RECTS, put_clip(m, d)};
    if (d->source.kind == DRAWING_SELF) {
        p->self_bitmap = 1;
        p->self_bitmap_area = to_rect(&d->source.self);
    }
    put_operation(m, d, p);
    return addr;
}

int32_t drawing_stride(const struct drawing_surface *s)
{
    int32_t stride = (int32_t)((s->width * drawing_surface_bits(s->format) + 31) / 32 * 4);

    return s->bottom_up ? -stride : stride;
}

uint32_t drawing_pixel(const struct drawing_surface *s, const uint8_t *memory, int x, int y)
{
    int32_t stride = drawing_stride(s);
    const uint8_t *row = memory + (stride < 0 ? (s->height - 1 - y) * -stride : y * stride);
    uint32_t pixel = 0;

    switch (s->format) {
    case SPICE_SURFACE_FMT_1_A:
        return row[x / 8] >> x % 8 & 1;
    case SPICE_SURFACE_FMT_8_A:
        return row[x];
    case SPICE_SURFACE_FMT_16_555:
    case SPICE_SURFACE_FMT_16_565:
        memcpy(&pixel, row + 2 * x, 2);
        return s->format == SPICE_SURFACE_FMT_16_555 ? pixel & 0x7fff : pixel;
    default:
        memcpy(&pixel, row + 4 * x, 4);
        return s->format == SPICE_SURFACE_FMT_32_xRGB ? pixel & 0xffffff : pixel;
    }
}

/* Quick, for guests to whom an instruction is dear. */
uint64_t drawing_hash(const struct drawing_surface *s, const uint8_t *memory)
{
    const uint32_t mask = s->format == SPICE_SURFACE_FMT_32_xRGB ? 0xffffff : s->format == SPICE_SURFACE_FMT_16_555 ? 0x7fff7fff : ~0u;
    unsigned bits = s->width * drawing_surface_bits(s->format), words = (bits + 31) / 32;
    const uint32_t last = bits % 32 ? (1u << bits % 32) - 1 : ~0u;
    int32_t stride = drawing_stride(s);
    uint64_t hash = DRAWING_HASH_START;

    for (int y = 0; y < s->height; y++) {
        const uint32_t *row = (const uint32_t *)(memory + (stride < 0 ? (s->height - 1 - y) * -stride : y * stride));

        for (unsigned i = 0; i + 1 < words; i++)
            hash = (hash ^ (row[i] & mask)) * DRAWING_HASH_PRIME;
        hash = (hash ^ (row[words - 1] & mask & last)) * DRAWING_HASH_PRIME;
    }
    return hash;
}

uint64_t drawing_encode_surface(struct drawing_memory *m, unsigned id, const struct drawing_surface *s, uint64_t data,
                                bool create, bool keep)
{
    uint64_t addr;
    QXLSurfaceCmd *c = (QXLSurfaceCmd *)alloc(m, sizeof(*c), &addr);

    memset(c, 0, sizeof(*c));
    c->release_info.id = addr & 0xffffffff;
    c->surface_id = id;
    c->type = create ? QXL_SURFACE_CMD_CREATE : QXL_SURFACE_CMD_DESTROY;
    c->flags = keep ? QXL_SURF_FLAG_KEEP_DATA : 0;
    c->u.surface_create = (QXLSurface){s->format, s->width, s->height, drawing_stride(s), data};
    return addr;
}
