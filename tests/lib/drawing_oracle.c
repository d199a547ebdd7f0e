#include "tests/lib/drawing_oracle.h"

#include "base/base.h"
#include "base/log.h"
#include "tests/lib/recorded.h"

#include <spice/enums.h>
#include <spice/qxl_dev.h>
#include <stdlib.h>
#include <string.h>

static pixman_image_t *image_new(pixman_format_code_t format, int width, int height)
{
    pixman_image_t *image = pixman_image_create_bits(format, width, height, NULL, 0);

    if (!image)
        die("no memory for a picture of %dx%d", width, height);
    return image;
}

static int width_of(pixman_image_t *image)
{
    return pixman_image_get_width(image);
}

static int height_of(pixman_image_t *image)
{
    return pixman_image_get_height(image);
}

static unsigned bits_of(pixman_image_t *image)
{
    return PIXMAN_FORMAT_BPP(pixman_image_get_format(image));
}

/* --- pixels --- */

static uint8_t *row_of(pixman_image_t *image, int y)
{
    return (uint8_t *)pixman_image_get_data(image) + (ptrdiff_t)y * pixman_image_get_stride(image);
}

static uint32_t get(pixman_image_t *image, int x, int y)
{
    const uint8_t *row = row_of(image, y);
    uint16_t half;
    uint32_t word;

    switch (bits_of(image)) {
    case 1:
        return row[x / 8] >> (x % 8) & 1;
    case 8:
        return row[x];
    case 16:
        memcpy(&half, row + 2 * x, 2);
        return half;
    default:
        memcpy(&word, row + 4 * x, 4);
        return word;
    }
}

static void put(pixman_image_t *image, int x, int y, uint32_t value)
{
    uint8_t *row = row_of(image, y);

    switch (bits_of(image)) {
    case 1:
        row[x / 8] = (uint8_t)((row[x / 8] & ~(1 << x % 8)) | (value & 1) << x % 8);
        break;
    case 8:
        row[x] = (uint8_t)value;
        break;
    case 16:
        memcpy(row + 2 * x, &(uint16_t){(uint16_t)value}, 2);
        break;
    default:
        memcpy(row + 4 * x, &value, 4);
        break;
    }
}

/* --- pictures --- */

static pixman_format_code_t surface_format(uint32_t format)
{
    switch (format) {
    case SPICE_SURFACE_FMT_1_A:
        return PIXMAN_a1;
    case SPICE_SURFACE_FMT_8_A:
        return PIXMAN_a8;
    case SPICE_SURFACE_FMT_16_555:
        return PIXMAN_x1r5g5b5;
    case SPICE_SURFACE_FMT_16_565:
        return PIXMAN_r5g6b5;
    case SPICE_SURFACE_FMT_32_ARGB:
        return PIXMAN_a8r8g8b8;
    default:
        return PIXMAN_x8r8g8b8;
    }
}

static unsigned index_at(const uint8_t *row, int x, uint8_t format)
{
    switch (format) {
    case SPICE_BITMAP_FMT_1BIT_LE:
        return row[x / 8] >> x % 8 & 1;
    case SPICE_BITMAP_FMT_1BIT_BE:
        return row[x / 8] >> (7 - x % 8) & 1;
    case SPICE_BITMAP_FMT_4BIT_LE:
        return row[x / 2] >> x % 2 * 4 & 15;
    case SPICE_BITMAP_FMT_4BIT_BE:
        return row[x / 2] >> (4 - x % 2 * 4) & 15;
    default:
        return row[x];
    }
}

/* A palette's colour: for a 16-bit surface one of that. Without a palette there are black and white. */
static uint32_t palette_color(const struct drawing_picture *p, unsigned i, uint32_t surface)
{
    uint32_t c = p->colors ? drawing_palette(p, i) : i ? 0xffffff : 0, color;
    pixman_image_t *from, *to;

    if (!p->colors || (surface != SPICE_SURFACE_FMT_16_555 && surface != SPICE_SURFACE_FMT_16_565))
        return c;
    from = image_new(surface_format(surface), 1, 1);
    to = image_new(PIXMAN_x8r8g8b8, 1, 1);
    put(from, 0, 0, c);
    pixman_image_composite32(PIXMAN_OP_SRC, from, NULL, to, 0, 0, 0, 0, 0, 0, 1, 1);
    color = get(to, 0, 0);
    pixman_image_unref(from);
    pixman_image_unref(to);
    return color;
}

static pixman_format_code_t bitmap_format(uint8_t format, uint32_t surface)
{
    switch (format) {
    case SPICE_BITMAP_FMT_16BIT:
        return surface == SPICE_SURFACE_FMT_16_565 ? PIXMAN_r5g6b5 : PIXMAN_x1r5g5b5;
    case SPICE_BITMAP_FMT_24BIT:
        return PIXMAN_r8g8b8;
    case SPICE_BITMAP_FMT_RGBA:
        return PIXMAN_a8r8g8b8;
    case SPICE_BITMAP_FMT_8BIT_A:
        return PIXMAN_a8;
    default:
        return PIXMAN_x8r8g8b8;
    }
}

static pixman_image_t *decode_bitmap(const struct drawing_picture *p, uint32_t surface)
{
    size_t row_bytes = (p->width * drawing_bitmap_bits(p->format) + 7) / 8;
    pixman_image_t *image = image_new(bitmap_format(p->format, surface), p->width, p->height);
    bool indexed = drawing_bitmap_bits(p->format) <= 8 && p->format != SPICE_BITMAP_FMT_8BIT_A;
    uint8_t *bytes = malloc((size_t)p->stride * p->height);
    uint32_t colors[256];

    drawing_picture_bytes(p, bytes);
    for (unsigned i = 0; indexed && i < 256; i++)
        colors[i] = palette_color(p, i, surface);
    for (int y = 0; y < p->height; y++) {
        const uint8_t *row = bytes + (size_t)p->stride * (unsigned)(p->top_down ? y : p->height - 1 - y);

        if (!indexed)
            memcpy(row_of(image, y), row, row_bytes);
        for (int x = 0; indexed && x < p->width; x++)
            put(image, x, y, colors[index_at(row, x, p->format)]);
    }
    free(bytes);
    return image;
}

static pixman_image_t *crop(pixman_image_t *image, const struct drawing_box *b)
{
    pixman_image_t *part = image_new(pixman_image_get_format(image), b->right - b->left, b->bottom - b->top);

    pixman_image_composite32(PIXMAN_OP_SRC, image, NULL, part, b->left, b->top, 0, 0, 0, 0, width_of(part),
                             height_of(part));
    return part;
}

static pixman_image_t *copy(pixman_image_t *image)
{
    return crop(image, &(struct drawing_box){0, 0, width_of(image), height_of(image)});
}

/* A picture of its own, also where another surface is meant. */
static pixman_image_t *open_picture(struct oracle *o, const struct drawing *d, const struct drawing_picture *p)
{
    switch (p->kind) {
    case DRAWING_SURFACE:
        return copy(o->surfaces[p->surface]);
    case DRAWING_SELF:
        return crop(o->surfaces[d->surface], &p->self);
    case DRAWING_STREAM:
        return copy(o->streams->pictures[p->stream]);
    default:
        return decode_bitmap(p, o->formats[d->surface].format);
    }
}

/* The same pixels, called something else. */
static pixman_image_t *as_format(pixman_image_t *image, pixman_format_code_t format)
{
    pixman_image_t *other = image_new(format, width_of(image), height_of(image));

    for (int y = 0; y < height_of(image); y++)
        memcpy(row_of(other, y), row_of(image, y), (size_t)width_of(image) * 4);
    pixman_image_unref(image);
    return other;
}

/* Have the picture scaled to the box: its area comes to 0, 0. */
static void scale(pixman_image_t *image, const struct drawing_box *area, const struct drawing_box *box, bool nearest)
{
    pixman_transform_t t;
    int64_t w = box->right - box->left, h = box->bottom - box->top;

    pixman_transform_init_identity(&t);
    t.matrix[0][0] = (pixman_fixed_t)(((int64_t)(area->right - area->left) << 16) / w);
    t.matrix[1][1] = (pixman_fixed_t)(((int64_t)(area->bottom - area->top) << 16) / h);
    t.matrix[0][2] = pixman_int_to_fixed(area->left);
    t.matrix[1][2] = pixman_int_to_fixed(area->top);
    pixman_image_set_transform(image, &t);
    pixman_image_set_filter(image, nearest ? PIXMAN_FILTER_NEAREST : PIXMAN_FILTER_BILINEAR, NULL, 0);
    pixman_image_set_repeat(image, PIXMAN_REPEAT_PAD);
}

/* What lies beside the area does not shine through if it is of the surface that is drawn on. Takes the image. */
static pixman_image_t *cut_out_own(const struct drawing *d, pixman_image_t *image, struct drawing_box *area)
{
    pixman_image_t *part;

    if (d->source.kind != DRAWING_SURFACE || d->source.surface != d->surface)
        return image;
    part = crop(image, area);
    pixman_image_unref(image);
    *area = (struct drawing_box){0, 0, area->right - area->left, area->bottom - area->top};
    return part;
}

/* The source as large as the box, in its own format or another; *image is opened. */
static pixman_image_t *source_in_box(const struct drawing *d, pixman_image_t *image, bool nearest,
                                     pixman_format_code_t format)
{
    int w = d->box.right - d->box.left, h = d->box.bottom - d->box.top;
    bool same = d->area.right - d->area.left == w && d->area.bottom - d->area.top == h;
    struct drawing_box area = d->area;
    pixman_image_t *out = image_new(format ? format : pixman_image_get_format(image), w, h);

    image = cut_out_own(d, image, &area);
    if (!same)
        scale(image, &area, &d->box, nearest);
    pixman_image_composite32(PIXMAN_OP_SRC, image, NULL, out, same ? area.left : 0, same ? area.top : 0, 0, 0, 0, 0, w, h);
    pixman_image_unref(image);
    return out;
}

/* --- where --- */

static bool in_box(const struct drawing_box *b, int x, int y)
{
    return x >= b->left && x < b->right && y >= b->top && y < b->bottom;
}

/* By surface and clip. */
static bool is_visible(const struct oracle *o, const struct drawing *d, int x, int y)
{
    const struct drawing_surface *s = &o->formats[d->surface];
    bool inside = d->clip_count == 0;

    for (unsigned i = 0; i < d->clip_count; i++)
        inside |= in_box(&d->clips[i], x, y);
    return inside && x >= 0 && x < s->width && y >= 0 && y < s->height;
}

static pixman_image_t *open_mask(const struct drawing *d)
{
    struct drawing_picture plain = d->mask;

    plain.colors = 0;
    return d->masked ? decode_bitmap(&plain, 0) : NULL;
}

static bool is_masked_in(const struct drawing *d, pixman_image_t *mask, int x, int y)
{
    int mx = x - d->box.left + d->mask_x, my = y - d->box.top + d->mask_y;

    if (!mask)
        return true;
    if (mx < 0 || my < 0 || mx >= width_of(mask) || my >= height_of(mask))
        return false;
    return (get(mask, mx, my) != 0) != d->mask_inverted;
}

/* --- what: a truth table of brush (4), source (2) and destination (1) --- */

static uint8_t table_of(uint16_t rop, uint8_t a, bool invert_a, uint8_t b, bool invert_b)
{
    uint8_t result;

    if (rop & SPICE_ROPD_OP_BLACKNESS)
        return 0;
    if (rop & SPICE_ROPD_OP_WHITENESS)
        return 0xff;
    if (rop & SPICE_ROPD_OP_INVERS)
        return (uint8_t)~b;
    a ^= invert_a ? 0xff : 0;
    b ^= invert_b ? 0xff : 0;
    result = rop & SPICE_ROPD_OP_OR ? a | b : rop & SPICE_ROPD_OP_AND ? a & b : rop & SPICE_ROPD_OP_XOR ? a ^ b : a;
    return rop & SPICE_ROPD_INVERS_RES ? (uint8_t)~result : result;
}

static uint32_t apply(uint8_t table, uint32_t brush, uint32_t source, uint32_t dest)
{
    uint32_t result = 0;

    for (unsigned bit = 0; bit < 32; bit++) {
        unsigned i = (brush >> bit & 1) << 2 | (source >> bit & 1) << 1 | (dest >> bit & 1);

        result |= (uint32_t)(table >> i & 1) << bit;
    }
    return result;
}

enum { BRUSH_BITS = 0xf0, SOURCE_BITS = 0xcc, DEST_BITS = 0xaa };

/* A brush in the surface's format. */
struct open_brush {
    const struct drawing_brush *brush;
    pixman_image_t *pattern; /* NULL: solid */
};

static struct open_brush open_brush(struct oracle *o, const struct drawing *d, const struct drawing_brush *b)
{
    struct open_brush open = {b, NULL};
    pixman_image_t *picture;

    if (b->type != SPICE_BRUSH_TYPE_PATTERN)
        return open;
    picture = open_picture(o, d, &b->pattern);
    open.pattern = image_new(surface_format(o->formats[d->surface].format), width_of(picture), height_of(picture));
    pixman_image_composite32(PIXMAN_OP_SRC, picture, NULL, open.pattern, 0, 0, 0, 0, 0, 0, width_of(picture),
                             height_of(picture));
    pixman_image_unref(picture);
    return open;
}

static void close_brush(struct open_brush *b)
{
    if (b->pattern)
        pixman_image_unref(b->pattern);
}

static int modulo(int a, int b)
{
    return (a % b + b) % b;
}

static uint32_t brush_at(const struct open_brush *b, int x, int y)
{
    if (!b->pattern)
        return b->brush->type == SPICE_BRUSH_TYPE_NONE ? 0 : b->brush->color;
    return get(b->pattern, modulo(x - b->brush->x, width_of(b->pattern)), modulo(y - b->brush->y, height_of(b->pattern)));
}

static void plot(struct oracle *o, const struct drawing *d, int x, int y, uint8_t table, uint32_t brush, uint32_t source)
{
    pixman_image_t *dest = o->surfaces[d->surface];

    put(dest, x, y, apply(table, brush, source, get(dest, x, y)));
}

/* Brush and source, either of which may be NULL, on the box. */
static void combine(struct oracle *o, const struct drawing *d, const struct drawing_brush *brush, pixman_image_t *source,
                    uint8_t table)
{
    static const struct drawing_brush none = {.type = SPICE_BRUSH_TYPE_NONE};
    struct open_brush open = open_brush(o, d, brush ? brush : &none);
    pixman_image_t *mask = open_mask(d);

    for (int y = d->box.top; y < d->box.bottom; y++)
        for (int x = d->box.left; x < d->box.right; x++)
            if (is_visible(o, d, x, y) && is_masked_in(d, mask, x, y))
                plot(o, d, x, y, table, brush_at(&open, x, y), source ? get(source, x - d->box.left, y - d->box.top) : 0);
    if (mask)
        pixman_image_unref(mask);
    if (source)
        pixman_image_unref(source);
    close_brush(&open);
}

static pixman_image_t *plain_source(struct oracle *o, const struct drawing *d)
{
    return source_in_box(d, open_picture(o, d, &d->source), d->scale_mode == SPICE_IMAGE_SCALE_MODE_NEAREST,
                         surface_format(o->formats[d->surface].format));
}

static uint8_t brush_table(uint16_t rop)
{
    return table_of(rop, BRUSH_BITS, rop & SPICE_ROPD_INVERS_BRUSH, DEST_BITS, rop & SPICE_ROPD_INVERS_DEST);
}

/* --- pictures that blend --- */

static void set_clip(struct oracle *o, const struct drawing *d, pixman_image_t *dest)
{
    pixman_region32_t clip, box;

    pixman_region32_init(&clip);
    for (unsigned i = 0; i < d->clip_count; i++)
        pixman_region32_union_rect(&clip, &clip, d->clips[i].left, d->clips[i].top,
                                   (unsigned)(d->clips[i].right - d->clips[i].left),
                                   (unsigned)(d->clips[i].bottom - d->clips[i].top));
    if (!d->clip_count)
        pixman_region32_union_rect(&clip, &clip, 0, 0, o->formats[d->surface].width, o->formats[d->surface].height);
    pixman_region32_init_rect(&box, d->box.left, d->box.top, (unsigned)(d->box.right - d->box.left),
                              (unsigned)(d->box.bottom - d->box.top));
    pixman_region32_intersect(&clip, &clip, &box);
    pixman_image_set_clip_region32(dest, &clip);
    pixman_region32_fini(&clip);
    pixman_region32_fini(&box);
}

/* The surface's memory as 32 bits with or without alpha; others as they are. */
static pixman_image_t *open_dest(struct oracle *o, const struct drawing *d, bool alpha)
{
    pixman_image_t *s = o->surfaces[d->surface], *dest;
    pixman_format_code_t format = pixman_image_get_format(s);

    if (bits_of(s) == 32)
        format = alpha ? PIXMAN_a8r8g8b8 : PIXMAN_x8r8g8b8;
    dest = pixman_image_create_bits_no_clear(format, width_of(s), height_of(s), pixman_image_get_data(s),
                                             pixman_image_get_stride(s));
    set_clip(o, d, dest);
    return dest;
}

/* A colour as a surface of this format has it. */
static uint32_t convert_color(uint32_t color, pixman_format_code_t format)
{
    pixman_image_t *from = image_new(PIXMAN_x8r8g8b8, 1, 1), *to = image_new(format, 1, 1);

    put(from, 0, 0, color);
    pixman_image_composite32(PIXMAN_OP_SRC, from, NULL, to, 0, 0, 0, 0, 0, 0, 1, 1);
    color = get(to, 0, 0);
    pixman_image_unref(from);
    pixman_image_unref(to);
    return color;
}

static void draw_transparent(struct oracle *o, const struct drawing *d)
{
    pixman_image_t *source = source_in_box(d, open_picture(o, d, &d->source), true, PIXMAN_a8r8g8b8), *converted;
    pixman_format_code_t format = surface_format(o->formats[d->surface].format);
    bool narrow = bits_of(o->surfaces[d->surface]) == 16; /* then it matters what is left of the colours */
    uint32_t key = narrow ? convert_color(d->key, format) : d->key & 0xffffff;

    converted = image_new(format, width_of(source), height_of(source));
    for (int y = 0; y < height_of(source); y++)
        for (int x = 0; x < width_of(source); x++)
            put(source, x, y, get(source, x, y) | 0xff000000);
    pixman_image_composite32(PIXMAN_OP_SRC, source, NULL, converted, 0, 0, 0, 0, 0, 0, width_of(source), height_of(source));
    for (int y = 0; y < height_of(source); y++)
        for (int x = 0; x < width_of(source); x++)
            if ((narrow ? get(converted, x, y) : get(source, x, y) & 0xffffff) != key &&
                is_visible(o, d, d->box.left + x, d->box.top + y))
                put(o->surfaces[d->surface], d->box.left + x, d->box.top + y, get(converted, x, y));
    pixman_image_unref(source);
    pixman_image_unref(converted);
}

static void draw_alpha_blend(struct oracle *o, const struct drawing *d)
{
    pixman_image_t *source = open_picture(o, d, &d->source), *dest, *mask;
    int w = d->box.right - d->box.left, h = d->box.bottom - d->box.top;
    bool same = d->area.right - d->area.left == w && d->area.bottom - d->area.top == h;
    struct drawing_box area = d->area;

    source = cut_out_own(d, source, &area);
    if (!same)
        scale(source, &area, &d->box, true);
    mask = pixman_image_create_solid_fill(&(pixman_color_t){0, 0, 0, (uint16_t)(d->alpha * 0x101)});
    dest = open_dest(o, d, d->alpha_flags & SPICE_ALPHA_FLAGS_DEST_HAS_ALPHA ||
                               o->formats[d->surface].format == SPICE_SURFACE_FMT_32_ARGB);
    if (d->alpha)
        pixman_image_composite32(PIXMAN_OP_OVER, source, d->alpha == 255 ? NULL : mask, dest, same ? area.left : 0,
                                 same ? area.top : 0, 0, 0, d->box.left, d->box.top, w, h);
    pixman_image_unref(source);
    pixman_image_unref(mask);
    pixman_image_unref(dest);
}

static void set_layer(pixman_image_t *image, pixman_filter_t filter, unsigned repeat, const uint32_t *transform)
{
    pixman_transform_t t = {{{0, 0, 0}, {0, 0, 0}, {0, 0, pixman_fixed_1}}};

    pixman_image_set_filter(image, filter, NULL, 0);
    pixman_image_set_repeat(image, (pixman_repeat_t)repeat);
    if (!transform)
        return;
    for (unsigned i = 0; i < 6; i++)
        t.matrix[i / 3][i % 3] = (pixman_fixed_t)transform[i];
    pixman_image_set_transform(image, &t);
}

static pixman_filter_t filter_of(uint32_t flags, unsigned shift)
{
    return flags >> shift & 7 ? PIXMAN_FILTER_BILINEAR : PIXMAN_FILTER_NEAREST;
}

static void draw_composite(struct oracle *o, const struct drawing *d)
{
    bool opaque = d->composite & SPICE_COMPOSITE_DEST_OPAQUE;
    bool argb = o->formats[d->surface].format == SPICE_SURFACE_FMT_32_ARGB;
    pixman_image_t *source = open_picture(o, d, &d->source), *dest = open_dest(o, d, argb && !opaque), *mask = NULL;

    if (d->composite & SPICE_COMPOSITE_SOURCE_OPAQUE && pixman_image_get_format(source) == PIXMAN_a8r8g8b8)
        source = as_format(source, PIXMAN_x8r8g8b8);
    set_layer(source, filter_of(d->composite, 8), d->composite >> 14 & 3, d->transformed ? d->transform : NULL);
    if (d->masked) {
        mask = open_picture(o, d, &d->mask);
        if (d->composite & SPICE_COMPOSITE_MASK_OPAQUE && pixman_image_get_format(mask) == PIXMAN_a8r8g8b8)
            mask = as_format(mask, PIXMAN_x8r8g8b8);
        set_layer(mask, filter_of(d->composite, 11), d->composite >> 16 & 3,
                  d->mask_transformed ? d->mask_transform : NULL);
        pixman_image_set_component_alpha(mask, !!(d->composite & SPICE_COMPOSITE_COMPONENT_ALPHA));
    }
    pixman_image_composite32((pixman_op_t)(d->composite & 0xff), source, mask, dest, d->from_x, d->from_y, d->mask_x,
                             d->mask_y, d->box.left, d->box.top, d->box.right - d->box.left, d->box.bottom - d->box.top);
    pixman_image_unref(source);
    pixman_image_unref(dest);
    if (mask)
        pixman_image_unref(mask);
}

/* --- the others --- */

static void draw_copy_bits(struct oracle *o, const struct drawing *d)
{
    pixman_image_t *s = o->surfaces[d->surface], *before = copy(s);

    for (int y = d->box.top; y < d->box.bottom; y++)
        for (int x = d->box.left; x < d->box.right; x++) {
            int from_x = x - d->box.left + d->from_x, from_y = y - d->box.top + d->from_y;

            if (is_visible(o, d, x, y) && from_x >= 0 && from_y >= 0 && from_x < width_of(s) && from_y < height_of(s))
                put(s, x, y, get(before, from_x, from_y));
        }
    pixman_image_unref(before);
}

static uint8_t glyph_coverage(const uint8_t *row, unsigned bits, int x)
{
    if (bits == 1)
        return row[x / 8] >> (7 - x % 8) & 1 ? 255 : 0;
    return bits == 8 ? row[x] : (uint8_t)((row[x / 2] >> (4 - x % 2 * 4) & 15) << 4);
}

/* Coverage of all glyphs on the surface: the most of those that touch a pixel. */
static pixman_image_t *glyph_coverage_map(const struct oracle *o, const struct drawing *d)
{
    pixman_image_t *map = image_new(PIXMAN_a8, o->formats[d->surface].width, o->formats[d->surface].height);
    uint32_t size = 0, at = 0;
    uint8_t *bytes;

    for (unsigned i = 0; i < d->glyph_count; i++)
        size += drawing_glyph_bytes(d, i);
    bytes = malloc(size + 1);
    drawing_bytes(d->glyph_seed, bytes, size);
    for (unsigned i = 0; i < d->glyph_count; at += drawing_glyph_bytes(d, i++)) {
        const struct drawing_glyph *g = &d->glyphs[i];
        unsigned stride = (g->width * d->glyph_bits + 7) / 8;

        for (int y = 0; y < g->height; y++)
            for (int x = 0; x < g->width; x++) {
                const uint8_t *row = bytes + at + stride * (unsigned)(d->glyphs_top_down ? y : g->height - 1 - y);
                int px = g->x + g->origin_x + x, py = g->y + g->origin_y + y;
                uint8_t c = glyph_coverage(row, d->glyph_bits, x);

                if (px >= 0 && py >= 0 && px < width_of(map) && py < height_of(map) && c > get(map, px, py))
                    put(map, px, py, c);
            }
    }
    free(bytes);
    return map;
}

/* A brush as a picture that covers the plane, opaque if it is solid. */
static pixman_image_t *brush_layer(struct oracle *o, const struct drawing *d, const struct drawing_brush *b)
{
    uint32_t format = o->formats[d->surface].format;
    pixman_image_t *layer;

    if (b->type == SPICE_BRUSH_TYPE_PATTERN) {
        layer = open_picture(o, d, &b->pattern);
    } else {
        layer = image_new(format == SPICE_SURFACE_FMT_32_ARGB ? PIXMAN_x8r8g8b8 : surface_format(format), 1, 1);
        put(layer, 0, 0, b->color);
    }
    pixman_image_set_repeat(layer, PIXMAN_REPEAT_NORMAL);
    return layer;
}

static void blend_glyphs(struct oracle *o, const struct drawing *d, pixman_image_t *coverage)
{
    pixman_image_t *layer, *dest;

    if (d->brush.type == SPICE_BRUSH_TYPE_NONE)
        return;
    layer = brush_layer(o, d, &d->brush);
    dest = open_dest(o, d, o->formats[d->surface].format == SPICE_SURFACE_FMT_32_ARGB);
    pixman_image_composite32(PIXMAN_OP_OVER, layer, coverage, dest, -d->brush.x, -d->brush.y, 0, 0, 0, 0,
                             width_of(coverage), height_of(coverage));
    pixman_image_unref(layer);
    pixman_image_unref(dest);
}

static void draw_glyph_bits(struct oracle *o, const struct drawing *d, pixman_image_t *coverage)
{
    struct open_brush brush = open_brush(o, d, &d->brush);
    uint8_t table = brush_table(d->rop);

    for (int y = 0; d->brush.type != SPICE_BRUSH_TYPE_NONE && y < height_of(coverage); y++)
        for (int x = 0; x < width_of(coverage); x++)
            if (get(coverage, x, y) && in_box(&d->box, x, y) && is_visible(o, d, x, y))
                plot(o, d, x, y, table, brush_at(&brush, x, y), 0);
    close_brush(&brush);
}

static void draw_text(struct oracle *o, const struct drawing *d)
{
    struct drawing behind = *d;
    pixman_image_t *coverage;

    behind.box = (struct drawing_box){MAX(d->box.left, d->back_area.left), MAX(d->box.top, d->back_area.top),
                                      MIN(d->box.right, d->back_area.right), MIN(d->box.bottom, d->back_area.bottom)};
    if (behind.box.left < behind.box.right && behind.box.top < behind.box.bottom)
        combine(o, &behind, &d->back, NULL, brush_table(d->back_rop));
    coverage = glyph_coverage_map(o, d);
    if (d->glyph_bits == 1)
        draw_glyph_bits(o, d, coverage);
    else
        blend_glyphs(o, d, coverage);
    pixman_image_unref(coverage);
}

/* --- lines --- */

struct pen {
    struct oracle *o;
    const struct drawing *d;
    struct open_brush brush;
    uint8_t table;
    unsigned dash, left; /* which one, and what is left of it */
};

static void move_pen(struct pen *p, int x, int y)
{
    const struct drawing *d = p->d;
    bool on = p->dash % 2 == d->gap_first;

    if ((!d->dash_count || on) && in_box(&d->box, x, y) && is_visible(p->o, d, x, y))
        plot(p->o, d, x, y, p->table, brush_at(&p->brush, x, y), 0);
    if (d->dash_count && --p->left == 0) {
        p->dash++;
        p->left = (unsigned)d->dashes[p->dash % d->dash_count] >> 4;
    }
}

/* As the X server draws lines of no width: by their error, which favours the same pixels in four of eight directions. */
static void draw_line(struct pen *p, int x0, int y0, int x1, int y1)
{
    int sx = x1 < x0 ? -1 : 1, sy = y1 < y0 ? -1 : 1, dx = abs(x1 - x0), dy = abs(y1 - y0);
    bool steep = dy > dx;
    int major = steep ? dy : dx, minor = steep ? dx : dy, error = 2 * minor - major;

    if ((sy < 0 && steep) || (sy < 0 && sx < 0) || (sx < 0 && !steep))
        error--;
    for (int i = 0; i < major; i++) {
        move_pen(p, x0, y0);
        if (error >= 0) {
            x0 += steep ? sx : 0;
            y0 += steep ? 0 : sy;
            error -= 2 * major;
        }
        error += 2 * minor;
        x0 += steep ? 0 : sx;
        y0 += steep ? sy : 0;
    }
}

/* The nearest pixel; what is in the middle is the lower one's. */
static int to_pixel(int32_t fixed)
{
    return (fixed + 7) >> 4;
}

static void draw_segment(struct pen *p, const struct drawing_segment *g)
{
    unsigned step = g->flags & QXL_PATH_BEZIER ? 3 : 1;
    int x = to_pixel(g->x[0]), y = to_pixel(g->y[0]);

    p->dash = 0;
    p->left = p->d->dash_count ? (unsigned)p->d->dashes[0] >> 4 : 0;
    for (unsigned i = step; i < g->count; i += step) {
        draw_line(p, x, y, to_pixel(g->x[i]), to_pixel(g->y[i]));
        x = to_pixel(g->x[i]);
        y = to_pixel(g->y[i]);
    }
    if (g->flags & QXL_PATH_CLOSE)
        draw_line(p, x, y, to_pixel(g->x[0]), to_pixel(g->y[0]));
}

static void draw_stroke(struct oracle *o, const struct drawing *d)
{
    struct pen pen = {o, d, open_brush(o, d, &d->brush), brush_table(d->rop), 0, 0};

    for (unsigned i = 0; i < d->segment_count; i++)
        draw_segment(&pen, &d->segments[i]);
    close_brush(&pen.brush);
}

/* --- commands --- */

void oracle_draw(struct oracle *o, const struct drawing *d)
{
    uint16_t rop = d->rop;

    switch (d->type) {
    case QXL_DRAW_FILL:
        combine(o, d, &d->brush, NULL, brush_table(rop));
        break;
    case QXL_DRAW_OPAQUE:
        combine(o, d, &d->brush, plain_source(o, d),
                table_of(rop, BRUSH_BITS, rop & SPICE_ROPD_INVERS_BRUSH, SOURCE_BITS, rop & SPICE_ROPD_INVERS_SRC));
        break;
    case QXL_DRAW_COPY:
    case QXL_DRAW_BLEND:
        combine(o, d, NULL, plain_source(o, d),
                table_of(rop, SOURCE_BITS, rop & SPICE_ROPD_INVERS_SRC, DEST_BITS, rop & SPICE_ROPD_INVERS_DEST));
        break;
    case QXL_COPY_BITS:
        draw_copy_bits(o, d);
        break;
    case QXL_DRAW_BLACKNESS:
        combine(o, d, NULL, NULL, 0);
        break;
    case QXL_DRAW_WHITENESS:
        combine(o, d, NULL, NULL, 0xff);
        break;
    case QXL_DRAW_INVERS:
        combine(o, d, NULL, NULL, (uint8_t)~DEST_BITS);
        break;
    case QXL_DRAW_ROP3:
        combine(o, d, &d->brush, plain_source(o, d), d->rop3);
        break;
    case QXL_DRAW_STROKE:
        draw_stroke(o, d);
        break;
    case QXL_DRAW_TEXT:
        draw_text(o, d);
        break;
    case QXL_DRAW_TRANSPARENT:
        draw_transparent(o, d);
        break;
    case QXL_DRAW_ALPHA_BLEND:
        draw_alpha_blend(o, d);
        break;
    case QXL_DRAW_COMPOSITE:
        draw_composite(o, d);
        break;
    default:
        break;
    }
}

/* --- life --- */

void oracle_init(struct oracle *o, const struct oracle_streams *streams, const struct drawing_surface *surfaces)
{
    o->streams = streams;
    for (unsigned i = 0; i < DRAWING_SURFACES; i++) {
        o->formats[i] = surfaces[i];
        o->surfaces[i] = image_new(surface_format(surfaces[i].format), surfaces[i].width, surfaces[i].height);
    }
}

void oracle_fini(struct oracle *o)
{
    for (unsigned i = 0; i < DRAWING_SURFACES; i++)
        pixman_image_unref(o->surfaces[i]);
}

uint32_t oracle_pixel(const struct oracle *o, unsigned surface, int x, int y)
{
    uint32_t format = o->formats[surface].format, pixel = get(o->surfaces[surface], x, y);

    return format == SPICE_SURFACE_FMT_32_xRGB ? pixel & 0xffffff : format == SPICE_SURFACE_FMT_16_555 ? pixel & 0x7fff : pixel;
}

uint64_t oracle_hash(const struct oracle *o, unsigned surface)
{
    unsigned bits = drawing_surface_bits(o->formats[surface].format), width = o->formats[surface].width;
    uint64_t hash = DRAWING_HASH_START;

    for (int y = 0; y < o->formats[surface].height; y++) {
        uint32_t word = 0;

        for (unsigned x = 0; x < width; x++) {
            word |= oracle_pixel(o, surface, (int)x, y) << x * bits % 32;
            if ((x + 1) * bits % 32 && x + 1 < width)
                continue;
            hash = (hash ^ word) * DRAWING_HASH_PRIME;
            word = 0;
        }
    }
    return hash;
}

/* --- compressed pictures --- */

static const char *const stream_files[] = {"tests/data/codec/quic.pictures", "tests/data/codec/lz.pictures"};

/* As pictures come out of a decoder: with alpha or without. */
static pixman_image_t *drawn_picture(const struct recorded *r)
{
    bool alpha = r->format == SPICE_BITMAP_FMT_RGBA;
    struct image image = picture_new(r->format, r->width, r->height, 0);
    struct drawing_picture shape = {.width = r->width, .height = r->height, .format = r->format};
    pixman_image_t *out = image_new(alpha ? PIXMAN_a8r8g8b8 : PIXMAN_x8r8g8b8, r->width, r->height);
    pixman_image_t *from = image_new(bitmap_format(shape.format, 0), r->width, r->height);

    picture_draw(&image, (enum picture_content)r->content, r->seed);
    for (int y = 0; y < r->height; y++)
        memcpy(row_of(from, y), image_row(&image, (uint32_t)y), image_row_bytes(r->format, r->width));
    pixman_image_composite32(PIXMAN_OP_SRC, from, NULL, out, 0, 0, 0, 0, 0, 0, r->width, r->height);
    pixman_image_unref(from);
    picture_free(&image);
    return out;
}

void oracle_streams_init(struct oracle_streams *s)
{
    *s = (struct oracle_streams){0};
    for (size_t i = 0; i < ARRAY_SIZE(stream_files); i++) {
        struct recorded record;
        struct reader r;

        s->files[i] = recorded_load(stream_files[i], &r);
        while (recorded_next(&r, &record)) {
            unsigned n = s->streams.count;

            if (!drawing_takes_stream(record.type, record.format, record.width, record.height) || n == DRAWING_MAX_STREAMS)
                continue;
            s->sizes[n] = (struct drawing_size){record.width, record.height};
            s->data[n] = record.data - 4;
            s->types[n] = record.type;
            s->pictures[n] = drawn_picture(&record);
            s->streams.count++;
        }
    }
    s->streams.sizes = s->sizes;
}

void oracle_streams_fini(struct oracle_streams *s)
{
    for (unsigned i = 0; i < s->streams.count; i++)
        pixman_image_unref(s->pictures[i]);
    for (size_t i = 0; i < ARRAY_SIZE(s->files); i++)
        free(s->files[i]);
}
