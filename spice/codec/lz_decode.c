#include "spice/codec/lz_wire.h"

#include <errno.h>

struct lz_header {
    uint32_t type, width, height, stride;
    bool top_down;
};

static int read_header(struct reader *r, struct lz_header *h)
{
    const uint8_t *p = reader_bytes(r, LZ_HEADER_BYTES);

    if (!p || load_be32(p) != LZ_MAGIC || load_be32(p + 4) != LZ_VERSION)
        return -EBADMSG;
    *h = (struct lz_header){.type = load_be32(p + 8),
                            .width = load_be32(p + 12),
                            .height = load_be32(p + 16),
                            .stride = load_be32(p + 20),
                            .top_down = load_be32(p + 24) != 0};
    struct image shape = {.width = h->width,
                          .height = h->height,
                          .stride = UINT32_MAX,
                          .format = lz_format_of(h->type)};
    if (image_check(&shape))
        return -EBADMSG;
    /* The row of an indexed picture may be one byte longer than its pixels need. */
    size_t row = image_row_bytes(shape.format, h->width);
    if (image_is_indexed(shape.format) && (h->stride < row || h->stride > row + 1))
        return -EBADMSG;
    return 0;
}

int lz_peek(const void *data, size_t size, struct image *shape)
{
    struct lz_header h;
    struct reader r;
    int err;

    reader_init(&r, data, size);
    err = read_header(&r, &h);
    if (!err) {
        shape->width = h.width;
        shape->height = h.height;
        shape->format = lz_format_of(h.type);
    }
    return err;
}

static inline void copy_literals(uint8_t *to, const uint8_t *from, size_t n, struct lz_kind kind)
{
    if (kind.element == 1) {
        memcpy(to, from, n);
        return;
    }
    for (; n; n--, to += kind.element, from += kind.literal) {
        if (kind.element == 4)
            store_le32(to, from[0] | from[1] << 8 | from[2] << 16);
        else
            store_le16(to, load_be16(from));
    }
}

/* A run: one pixel repeated; `slack` as below. */
static inline void repeat_pixel(uint8_t *to, size_t n, unsigned element, size_t slack)
{
    const uint8_t *px = to - element;

    if (element == 4 && slack >= 16) {
        uint32_t v = load_le32(px), several[4] = {v, v, v, v};

        for (uint8_t *end = to + 4 * n; to < end; to += 16)
            memcpy(to, several, 16);
    } else if (element == 1) {
        memset(to, *px, n);
    } else if (element == 2) {
        uint16_t v = load_le16(px);
        for (; n; n--, to += 2)
            store_le16(to, v);
    } else {
        uint32_t v = load_le32(px);
        for (; n; n--, to += 4)
            store_le32(to, v);
    }
}

/* Bytes from `distance` bytes before; `slack` bytes after the match's end may be spoilt. */
static inline void copy_match(uint8_t *to, size_t distance, size_t bytes, size_t slack)
{
    const uint8_t *from = to - distance;

    if (distance >= 16 && slack >= 16) {
        for (uint8_t *end = to + bytes; to < end; to += 16, from += 16)
            memcpy(to, from, 16);
    } else if (distance >= 8 && slack >= 8) {
        for (uint8_t *end = to + bytes; to < end; to += 8, from += 8)
            memcpy(to, from, 8);
    } else {
        for (; bytes; bytes--)
            *to++ = *from++;
    }
}

/* The rest of a match after its first byte. False if the stream ends or the length exceeds `max`. */
static inline __attribute__((always_inline)) bool read_match(struct reader *r, uint32_t ctrl, size_t max, size_t *length,
                              size_t *distance)
{
    const uint8_t *p = r->p;
    uint32_t code;

    *length = ctrl >> 5;
    if (*length == LZ_LONG_LENGTH) {
        do {
            if (p == r->end || *length > max)
                return false;
            code = *p++;
            *length += code;
        } while (code == 255);
    }
    if (p == r->end)
        return false;
    *distance = (ctrl & 31) << 8 | *p++;
    if (*distance == LZ_FAR) {
        if (r->end - p < 2)
            return false;
        *distance += load_be16(p);
        p += 2;
    }
    ++*distance;
    r->p = p;
    return true;
}

static inline __attribute__((always_inline)) int expand(struct reader *from, uint8_t *out,
                                                        size_t count, struct lz_kind kind)
{
    unsigned element = kind.element;
    struct reader r = *from; /* a copy, which can stay in registers */
    size_t at = 0;

    while (at < count) {
        size_t length, distance, left = count - at;
        uint32_t ctrl;

        if (r.p == r.end)
            return -EBADMSG;
        ctrl = *r.p++;
        if (ctrl < LZ_MAX_LITERALS) {
            length = ctrl + 1;
            if (length > left || length * kind.literal > (size_t)(r.end - r.p))
                return -EBADMSG;
            copy_literals(out + at * element, r.p, length, kind);
            r.p += length * kind.literal;
        } else {
            if (!read_match(&r, ctrl, left, &length, &distance))
                return -EBADMSG;
            length += kind.bias;
            if (length > left || distance > at)
                return -EBADMSG;
            if (distance == 1)
                repeat_pixel(out + at * element, length, element, (left - length) * element);
            else
                copy_match(out + at * element, distance * element, length * element,
                           (left - length) * element);
        }
        at += length;
    }
    *from = r;
    return 0;
}

static int expand_pass(struct reader *r, uint8_t *out, size_t count, unsigned element)
{
    if (element == 4)
        return expand(r, out, count, LZ_COLORS);
    if (element == 2)
        return expand(r, out, count, LZ_WORDS);
    return expand(r, out, count, LZ_BYTES);
}

/* The decoded rows, as the stream has them, and how to step through them from the top. */
struct rows {
    uint8_t *pixels, *first;
    ptrdiff_t step;
    uint8_t format;
};

static void locate_rows(struct rows *rows, const struct lz_header *h, size_t row)
{
    rows->first = h->top_down ? rows->pixels : rows->pixels + row * (h->height - 1);
    rows->step = h->top_down ? (ptrdiff_t)row : -(ptrdiff_t)row;
}

static void merge_alpha(const struct image *image, const struct rows *rows)
{
    const uint8_t *from = rows->first;

    for (uint32_t y = 0; y < image->height; y++, from += rows->step) {
        uint8_t *to = image_row(image, y);

        for (uint32_t x = 0; x < image->width; x++)
            to[4 * x + 3] = from[x];
    }
}

static int decode_alpha(struct lz *lz, struct reader *r, const struct lz_header *h,
                        const struct image *image)
{
    struct rows rows = {.pixels = scratch_get(&lz->plane, (size_t)h->width * h->height)};
    int err;

    if (!rows.pixels)
        return -ENOMEM;
    err = expand_pass(r, rows.pixels, (size_t)h->width * h->height, 1);
    if (err)
        return err;
    locate_rows(&rows, h, h->width);
    merge_alpha(image, &rows);
    return 0;
}

static void store_rows(const struct image *image, const struct rows *rows,
                       const struct palette *palette)
{
    const uint8_t *from = rows->first;

    if (rows->first == image->data)
        return;
    if (image->format == rows->format) {
        image_copy_rows(image, from, rows->step);
        return;
    }
    for (uint32_t y = 0; y < image->height; y++, from += rows->step) {
        uint8_t *to = image_row(image, y);

        if (image->format == SPICE_BITMAP_FMT_32BIT)
            image_row_to_rgb32(to, from, rows->format, image->width, palette);
        else /* 24BIT, which was decoded as 32 */
            for (uint32_t x = 0; x < image->width; x++)
                memcpy(to + 3 * x, from + 4 * x, 3);
    }
}

static int decode_colors(struct lz *lz, struct reader *r, const struct lz_header *h,
                         const struct image *image, const struct palette *palette)
{
    struct rows rows = {.format = lz_format_of(h->type)};
    unsigned element = 4;
    size_t row = 4 * (size_t)h->width;
    int err;

    if (rows.format == SPICE_BITMAP_FMT_24BIT)
        rows.format = SPICE_BITMAP_FMT_32BIT;
    if (rows.format == SPICE_BITMAP_FMT_16BIT) {
        element = 2;
        row = 2 * (size_t)h->width;
    } else if (rows.format != SPICE_BITMAP_FMT_32BIT && rows.format != SPICE_BITMAP_FMT_RGBA) {
        element = 1;
        row = image_is_indexed(rows.format) ? h->stride : h->width;
    }
    if (h->top_down && rows.format == image->format && image->stride == row)
        rows.pixels = image->data;
    else
        rows.pixels = scratch_get(&lz->pixels, row * h->height);
    if (!rows.pixels)
        return -ENOMEM;
    err = expand_pass(r, rows.pixels, row * h->height / element, element);
    if (err)
        return err;
    locate_rows(&rows, h, row);
    store_rows(image, &rows, palette);
    return 0;
}

/* Whether an image of `format` can take a stream of `type`. */
static bool fits(uint32_t type, uint8_t format, const struct palette *palette)
{
    uint8_t own = lz_format_of(type);

    if (type == LZ_TYPE_XXXA)
        return false;
    if (own == format)
        return true;
    if (format != SPICE_BITMAP_FMT_32BIT || (image_is_indexed(own) && !palette))
        return false;
    return type <= LZ_TYPE_RGB32;
}

static int begin(struct reader *r, struct lz_header *h, const void *data, size_t size,
                 const struct image *image)
{
    if (image_check(image))
        return -EINVAL;
    reader_init(r, data, size);
    if (read_header(r, h) || h->width != image->width || h->height != image->height)
        return -EBADMSG;
    return 0;
}

int lz_decode(struct lz *lz, const void *data, size_t size, const struct image *image,
              const struct palette *palette)
{
    struct lz_header h;
    struct reader r;
    int err = begin(&r, &h, data, size, image);

    if (err)
        return err;
    if (!fits(h.type, image->format, palette))
        return -EINVAL;
    err = decode_colors(lz, &r, &h, image, palette);
    if (!err && h.type == LZ_TYPE_RGBA)
        err = decode_alpha(lz, &r, &h, image);
    return err;
}

int lz_decode_alpha(struct lz *lz, const void *data, size_t size, const struct image *image)
{
    struct lz_header h;
    struct reader r;
    int err = begin(&r, &h, data, size, image);

    if (err)
        return err;
    if (image->format != SPICE_BITMAP_FMT_RGBA)
        return -EINVAL;
    return h.type == LZ_TYPE_XXXA ? decode_alpha(lz, &r, &h, image) : -EBADMSG;
}
