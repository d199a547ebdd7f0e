#include "spice/codec/quic_model.h"

#include <emmintrin.h>
#include <errno.h>

/* Byte `shift / 8` of each of 16 four-byte pixels. */
static inline __m128i gather_bytes(const __m128i *px, int shift)
{
    __m128i mask = _mm_set1_epi32(0xff), part[4];

    for (int i = 0; i < 4; i++)
        part[i] = _mm_and_si128(_mm_srli_epi32(px[i], shift), mask);
    return _mm_packus_epi16(_mm_packs_epi32(part[0], part[1]), _mm_packs_epi32(part[2], part[3]));
}

static void split_32(uint8_t *const plane[], const uint8_t *row, uint32_t width)
{
    uint32_t x = 0;

    for (; x + 16 <= width; x += 16) {
        __m128i px[4];

        for (int i = 0; i < 4; i++)
            px[i] = _mm_loadu_si128((const __m128i *)(row + 4 * x) + i);
        for (int c = 0; c < 3; c++)
            _mm_storeu_si128((__m128i *)(plane[c] + x), gather_bytes(px, 16 - 8 * c));
    }
    for (; x < width; x++)
        for (int c = 0; c < 3; c++)
            plane[c][x] = row[4 * x + 2 - c];
}

static void split_24(uint8_t *const plane[], const uint8_t *row, uint32_t width)
{
    for (uint32_t x = 0; x < width; x++)
        for (int c = 0; c < 3; c++)
            plane[c][x] = row[3 * x + 2 - c];
}

static void split_16(uint8_t *const plane[], const uint8_t *row, uint32_t width)
{
    for (uint32_t x = 0; x < width; x++)
        for (int c = 0; c < 3; c++)
            plane[c][x] = load_le16(row + 2 * x) >> (10 - 5 * c) & 31;
}

static void split_row(struct quic *quic, const struct image *image, uint32_t y)
{
    const uint8_t *row = image_row(image, y);
    uint8_t *const *plane = quic->pass[0].plane[0];

    switch (image->format) {
    case SPICE_BITMAP_FMT_16BIT:
        split_16(plane, row, image->width);
        break;
    case SPICE_BITMAP_FMT_24BIT:
        split_24(plane, row, image->width);
        break;
    case SPICE_BITMAP_FMT_8BIT_A:
        memcpy(plane[0], row, image->width);
        break;
    default:
        split_32(plane, row, image->width);
    }
    if (image->format == SPICE_BITMAP_FMT_RGBA)
        for (uint32_t x = 0; x < image->width; x++)
            quic->pass[1].plane[0][0][x] = row[4 * x + 3];
}

/* What was this row becomes the one above. */
static void turn_rows(struct quic_pass *pass)
{
    uint64_t *same = pass->same[0];

    pass->same[0] = pass->same[1];
    pass->same[1] = same;
    for (unsigned c = 0; c < pass->channels; c++) {
        uint8_t *plane = pass->plane[0][c], *folded = pass->folded[0][c];

        pass->plane[0][c] = pass->plane[1][c];
        pass->plane[1][c] = plane;
        pass->folded[0][c] = pass->folded[1][c];
        pass->folded[1][c] = folded;
    }
}

static bool put_header(struct sink *s, const struct image *image, uint32_t type)
{
    const uint32_t words[QUIC_HEADER_WORDS] = {QUIC_MAGIC, 0, type, image->width, image->height};

    if (!sink_reserve(s, sizeof(words)))
        return false;
    memcpy(s->p, words, sizeof(words));
    s->p += sizeof(words);
    return true;
}

/* Whole words go to the sink; the rest stays in quic->out. */
static bool put_words(struct quic *quic, struct sink *s)
{
    size_t size = (size_t)(quic->out.p - quic->stream.data);

    if (!sink_reserve(s, size))
        return false;
    memcpy(s->p, quic->stream.data, size);
    s->p += size;
    quic->out.p = quic->stream.data;
    return true;
}

static bool put_rows(struct quic *quic, struct sink *s, const struct image *image, bool alpha)
{
    for (uint32_t y = 0; y < image->height; y++) {
        split_row(quic, image, y);
        for (unsigned i = 0; i <= alpha; i++) {
            quic->ops->encode_row(&quic->pass[i], &quic->out, image->width, y == 0);
            turn_rows(&quic->pass[i]);
        }
        if (!put_words(quic, s))
            return false;
    }
    return true;
}

/* The last word, filled with zeros, and one more that decoders read ahead. */
static bool put_end(struct quic *quic, struct sink *s)
{
    struct quic_bit_writer *out = &quic->out;

    if (!sink_reserve(s, 8))
        return false;
    if (out->count) {
        store_le32(s->p, (uint32_t)(out->bits << (32 - out->count)));
        s->p += 4;
    }
    store_le32(s->p, 0);
    s->p += 4;
    return true;
}

int quic_encode(struct quic *quic, struct writer *w, const struct image *image)
{
    uint32_t type = QUIC_GRAY;
    struct sink s;

    while (type < QUIC_TYPE_END && quic_forms[type].format != image->format)
        type++;
    if (image_check(image) || type == QUIC_TYPE_END)
        return -EINVAL;
    if (quic_begin(quic, &quic_forms[type], image->width) ||
        !scratch_get(&quic->stream, (size_t)image->width * QUIC_ROW_BITS / 8 + QUIC_SLACK))
        return -ENOMEM;
    quic->out = (struct quic_bit_writer){.p = quic->stream.data};
    sink_begin(&s, w);
    if (!put_header(&s, image, type) || !put_rows(quic, &s, image, quic_forms[type].alpha) ||
        !put_end(quic, &s)) {
        sink_abort(&s);
        return -ENOSPC;
    }
    sink_commit(&s);
    return 0;
}
