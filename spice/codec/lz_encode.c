#include "spice/codec/lz_wire.h"

#include <errno.h>

/* Which bits of eight bytes of pixels are compared, and how many pixels a hash key has. */
static inline uint64_t pixel_mask(unsigned element)
{
    return element == 4 ? 0x00ffffff00ffffff : element == 2 ? 0x7fff7fff7fff7fff : ~0ull;
}

static inline unsigned key_pixels(unsigned element)
{
    return element == 4 ? 2 : element == 2 ? 3 : 4;
}

static inline uint64_t key_mask(unsigned element)
{
    unsigned bits = 8 * element * key_pixels(element);

    return pixel_mask(element) & (bits == 64 ? ~0ull : (1ull << bits) - 1);
}

/* Equal pixels at a and b, both inside the picture that ends with `end`; b comes later. */
static inline size_t equal_pixels(const uint8_t *a, const uint8_t *b, const uint8_t *end,
                                  unsigned element)
{
    const uint8_t *start = b;
    uint64_t mask = pixel_mask(element), differ;

    for (; end - b >= 8; a += 8, b += 8) {
        differ = (load_le64(a) ^ load_le64(b)) & mask;
        if (differ)
            return ((size_t)(b - start) + (unsigned)__builtin_ctzll(differ) / 8) / element;
    }
    for (; b < end; a += element, b += element) {
        differ = 0;
        for (unsigned i = 0; i < element; i++)
            differ |= (uint64_t)(a[i] ^ b[i]) << 8 * i;
        if (differ & mask)
            break;
    }
    return (size_t)(b - start) / element;
}

static inline bool put_literals(struct sink *s, const uint8_t *px, size_t n, struct lz_kind kind)
{
    while (n) {
        size_t part = MIN(n, LZ_MAX_LITERALS);

        if (!sink_reserve(s, 1 + LZ_MAX_LITERALS * 4))
            return false;
        *s->p++ = (uint8_t)(part - 1);
        n -= part;
        for (; part; part--, px += kind.element, s->p += kind.literal) {
            if (kind.element == 4)
                store_le32(s->p, load_le32(px));
            else if (kind.element == 2)
                store_be16(s->p, load_le16(px));
            else
                *s->p = *px;
        }
    }
    return true;
}

static bool put_match(struct sink *s, uint32_t distance, size_t length, unsigned bias)
{
    bool far = --distance >= LZ_FAR;
    uint32_t near = far ? LZ_FAR : distance;

    length -= bias;
    if (!sink_reserve(s, length / 255 + 8))
        return false;
    *s->p++ = (uint8_t)(MIN(length, LZ_LONG_LENGTH) << 5 | near >> 8);
    if (length >= LZ_LONG_LENGTH) {
        for (length -= LZ_LONG_LENGTH; length >= 255; length -= 255)
            *s->p++ = 255;
        *s->p++ = (uint8_t)length;
    }
    *s->p++ = (uint8_t)near;
    if (far) {
        store_be16(s->p, (uint16_t)(distance - LZ_FAR));
        s->p += 2;
    }
    return true;
}

struct match {
    uint32_t distance;
    size_t length;
};

/* What is looked up for a place: a few pixels more than must match, so that what is found tends to match for long. */
static inline uint32_t hash_at(const uint8_t *here, unsigned element)
{
    uint64_t key = (load_le64(here) & pixel_mask(element)) * 0x9e3779b97f4a7c15u;

    if (element == 4)
        key ^= (load_le32(here + 8) & 0xffffff) * 0xc2b2ae3d27d4eb4fu;
    return (uint32_t)(key >> (64 - LZ_HASH_BITS));
}

/* The match with the pixels `distance` before, or none. */
static inline __attribute__((always_inline)) struct match
try_distance(const uint8_t *here, uint32_t distance, const uint8_t *end, unsigned element)
{
    const uint8_t *from = here - (size_t)distance * element;
    struct match m = {distance, 0};

    if ((load_le64(from) ^ load_le64(here)) & key_mask(element))
        return m;
    m.length = equal_pixels(from, here, end, element);
    if (distance > LZ_FAR && m.length <= key_pixels(element))
        m.length = 0;
    return m;
}

/* The best match for the pixels at `at`: a run, where the same was seen last, or the row above. Length 0 if none pays. */
static inline __attribute__((always_inline)) struct match
find_match(struct lz *lz, const uint8_t *px, uint32_t at, uint32_t row, const uint8_t *end,
           unsigned element)
{
    const uint8_t *here = px + (size_t)at * element;
    uint32_t *slot, distance, now = lz->epoch + at;
    struct match m = {0}, above = {0};

    if (at && !((load_le64(here) ^ load_le64(here - element)) & pixel_mask(element)))
        return (struct match){1, equal_pixels(here - element, here, end, element)};
    slot = &lz->table[hash_at(here, element)];
    distance = now - *slot;
    *slot = now;
    if (distance - 1 < MIN(at, LZ_MAX_DISTANCE))
        m = try_distance(here, distance, end, element);
    if (at >= row && distance != row)
        above = try_distance(here, row, end, element);
    return above.length > m.length ? above : m;
}

static inline void note_place(struct lz *lz, const uint8_t *px, uint32_t at, unsigned element)
{
    lz->table[hash_at(px + (size_t)at * element, element)] = lz->epoch + at;
}

static inline __attribute__((always_inline)) bool squeeze(struct lz *lz, struct sink *s,
                                                          const uint8_t *px, uint32_t count,
                                                          uint32_t row, struct lz_kind kind)
{
    unsigned element = kind.element;
    const uint8_t *end = px + (size_t)count * element;
    uint32_t at = 0, literals = 0,
             last = count - MIN(count, element == 4 ? 3 : 8 / element); /* eight bytes are loaded */

    while (at < last) {
        struct match m = find_match(lz, px, at, row, end, element);

        if (!m.length) {
            at += 1 + (at - literals) / 64; /* hurry through what does not repeat */
            continue;
        }
        if (!put_literals(s, px + (size_t)literals * element, at - literals, kind) ||
            !put_match(s, m.distance, m.length, kind.bias))
            return false;
        at += (uint32_t)m.length;
        literals = at;
        if (at - 1 < last)
            note_place(lz, px, at - 1, element);
    }
    return put_literals(s, px + (size_t)literals * element, count - literals, kind);
}

/* Positions are kept as 32 bits over all pictures, so that the table need not be cleared for each. */
static void next_epoch(struct lz *lz, uint32_t count)
{
    if (lz->epoch > UINT32_MAX - 2 * (count + LZ_MAX_DISTANCE)) {
        memset(lz->table, 0, sizeof(lz->table));
        lz->epoch = 0;
    }
    lz->epoch += count + LZ_MAX_DISTANCE;
}

static bool squeeze_pass(struct lz *lz, struct sink *s, const uint8_t *px, uint32_t count,
                         uint32_t row, unsigned element)
{
    next_epoch(lz, count);
    if (element == 4)
        return squeeze(lz, s, px, count, row, LZ_COLORS);
    if (element == 2)
        return squeeze(lz, s, px, count, row, LZ_WORDS);
    return squeeze(lz, s, px, count, row, LZ_BYTES);
}

/* The pixels without padding; 24 bits widened to 32. In place where they already are so. */
static const uint8_t *packed_pixels(struct lz *lz, const struct image *image, size_t row)
{
    uint8_t *to;

    if (image->format != SPICE_BITMAP_FMT_24BIT && image->stride == row)
        return image->data;
    if (image->format == SPICE_BITMAP_FMT_24BIT)
        row = 4 * (size_t)image->width;
    to = scratch_get(&lz->pixels, row * image->height);
    for (uint32_t y = 0; to && y < image->height; y++) {
        if (image->format == SPICE_BITMAP_FMT_24BIT)
            image_row_to_rgb32(to + y * row, image_row(image, y), image->format, image->width,
                               NULL);
        else
            memcpy(to + y * row, image_row(image, y), row);
    }
    return to;
}

static const uint8_t *alpha_plane(struct lz *lz, const struct image *image)
{
    uint8_t *plane = scratch_get(&lz->plane, (size_t)image->width * image->height), *to = plane;

    for (uint32_t y = 0; plane && y < image->height; y++) {
        const uint8_t *row = image_row(image, y);

        for (uint32_t x = 0; x < image->width; x++)
            *to++ = row[4 * x + 3];
    }
    return plane;
}

static bool put_header(struct sink *s, const struct image *image, uint32_t type, size_t row)
{
    const uint32_t words[] = {LZ_MAGIC,      LZ_VERSION,    type, image->width,
                              image->height, (uint32_t)row, 1};

    static_assert(sizeof(words) == LZ_HEADER_BYTES, "seven words");
    if (!sink_reserve(s, LZ_HEADER_BYTES))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++, s->p += 4)
        store_be32(s->p, words[i]);
    return true;
}

static int encode_colors(struct lz *lz, struct sink *s, const struct image *image, size_t row)
{
    const uint8_t *px = packed_pixels(lz, image, row);
    uint32_t count = image->width * image->height;
    unsigned element = 4;

    if (!px)
        return -ENOMEM;
    if (image->format == SPICE_BITMAP_FMT_16BIT)
        element = 2;
    if (image_is_indexed(image->format) || image->format == SPICE_BITMAP_FMT_8BIT_A) {
        element = 1;
        count = (uint32_t)(row * image->height);
    }
    return squeeze_pass(lz, s, px, count, count / image->height, element) ? 0 : -ENOSPC;
}

static int encode_alpha(struct lz *lz, struct sink *s, const struct image *image)
{
    const uint8_t *plane = alpha_plane(lz, image);

    if (!plane)
        return -ENOMEM;
    return squeeze_pass(lz, s, plane, image->width * image->height, image->width, 1) ? 0 : -ENOSPC;
}

static int encode(struct lz *lz, struct writer *w, const struct image *image, uint32_t type)
{
    size_t row = image_row_bytes(image->format, image->width);
    struct sink s;
    int err = 0;

    sink_begin(&s, w);
    if (!put_header(&s, image, type, row))
        err = -ENOSPC;
    if (!err && type != LZ_TYPE_XXXA)
        err = encode_colors(lz, &s, image, row);
    if (!err && (type == LZ_TYPE_RGBA || type == LZ_TYPE_XXXA))
        err = encode_alpha(lz, &s, image);
    if (err)
        sink_abort(&s);
    else
        sink_commit(&s);
    return err;
}

int lz_encode(struct lz *lz, struct writer *w, const struct image *image)
{
    uint32_t type = LZ_TYPE_PLT1_LE;

    if (image_check(image))
        return -EINVAL;
    while (type < LZ_TYPE_END && lz_format_of(type) != image->format)
        type++;
    return encode(lz, w, image, type);
}

int lz_encode_alpha(struct lz *lz, struct writer *w, const struct image *image)
{
    if (image_check(image) || image->format != SPICE_BITMAP_FMT_RGBA)
        return -EINVAL;
    return encode(lz, w, image, LZ_TYPE_XXXA);
}
