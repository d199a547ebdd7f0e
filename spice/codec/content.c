#include "spice/codec/content.h"

#include "base/bytes.h"

#include <stdlib.h>

#define STRIP       16 /* pixels sampled side by side */
#define MAX_STRIPS  64
#define FEW_STRIPS  16 /* enough where the answer is not close */
#define SEEN_COLORS 64

/* What pixels cost, in bits times 256; measured on screens and photographs. */
#define COST_SAME    40        /* in a run, or a match with the left or upper neighbour */
#define COST_SEEN    (8 * 256) /* a colour that was there before: likely part of some match */
#define COST_LITERAL (25 * 256)
#define WORTH_IT     75 /* per cent of LZ's size below which QUIC is taken */
#define IS_CLOSE     2  /* less than so many times more or less than that */

struct sampler {
    const struct image *image;
    uint32_t seen[SEEN_COLORS]; /* colours met, by hash */
    struct content_guess sum;
    uint32_t pixels;
};

static inline uint32_t color_at(const struct image *image, uint32_t x, uint32_t y)
{
    const uint8_t *row = image_row(image, y);
    uint32_t v;

    switch (image->format) {
    case SPICE_BITMAP_FMT_16BIT:
        v = load_le16(row + 2 * x);
        return (v & 0x7c00) << 9 | (v & 0x3e0) << 6 | (v & 0x1f) << 3;
    case SPICE_BITMAP_FMT_24BIT:
        return row[3 * x] | row[3 * x + 1] << 8 | row[3 * x + 2] << 16;
    default:
        return load_le32(row + 4 * x) & 0xffffff;
    }
}

/* Bits that a Golomb-Rice code fitted to its surroundings needs for the difference of a sample, times 256. */
static inline uint32_t sample_cost(uint32_t v, uint32_t left, uint32_t up)
{
    int guess = (int)((left & 0xff) + (up & 0xff)) >> 1;
    unsigned d = (unsigned)abs((int)(v & 0xff) - guess);

    return 320 + 256 * (31 - (unsigned)__builtin_clz(2 * d + 1)) - (d ? 64 : 0);
}

static inline void sample_pixel(struct sampler *s, uint32_t v, uint32_t left, uint32_t up)
{
    uint32_t *seen = &s->seen[v * 0x9e3779b1u >> 26];

    static_assert(SEEN_COLORS == 1 << 6, "the hash has six bits");
    s->pixels++;
    if (v == left && v == up)
        s->sum.quic += COST_SAME;
    else
        s->sum.quic += sample_cost(v, left, up) + sample_cost(v >> 8, left >> 8, up >> 8) +
                       sample_cost(v >> 16, left >> 16, up >> 16);
    if (v == left || v == up)
        s->sum.lz += COST_SAME;
    else
        s->sum.lz += *seen == v ? COST_SEEN : COST_LITERAL;
    *seen = v;
}

static void sample_strip(struct sampler *s, uint32_t x, uint32_t y)
{
    uint32_t end = MIN(x + STRIP, s->image->width);
    uint32_t left = color_at(s->image, x ? x - 1 : 0, y);

    for (; x < end; x++) {
        uint32_t v = color_at(s->image, x, y);

        sample_pixel(s, v, left, color_at(s->image, x, y ? y - 1 : 0));
        left = v;
    }
}

static struct content_guess guess(const struct image *image, uint64_t max_strips)
{
    struct sampler s = {.image = image};
    uint32_t across = DIV_ROUND_UP(image->width, STRIP);
    uint64_t strips = (uint64_t)across * image->height, count = MIN(strips, max_strips);

    if (image->format < SPICE_BITMAP_FMT_16BIT || image->format > SPICE_BITMAP_FMT_RGBA)
        return s.sum;
    memset(s.seen, 0xff, sizeof(s.seen));
    /* One strip somewhere in each of `count` equal parts, so that no regular pattern can hide. */
    for (uint64_t i = 0; i < count; i++) {
        uint64_t from = i * strips / count, size = (i + 1) * strips / count - from;
        uint64_t at = from + (uint32_t)(i * 0x9e3779b1u) % size;

        sample_strip(&s, (uint32_t)(at % across) * STRIP, (uint32_t)(at / across));
    }
    s.sum.quic /= s.pixels;
    s.sum.lz /= s.pixels;
    return s.sum;
}

struct content_guess content_guess(const struct image *image)
{
    return guess(image, MAX_STRIPS);
}

bool content_is_gradual(const struct image *image)
{
    struct content_guess g = guess(image, FEW_STRIPS);

    if (g.quic * 100 < g.lz * WORTH_IT * IS_CLOSE && g.quic * 100 * IS_CLOSE > g.lz * WORTH_IT)
        g = guess(image, MAX_STRIPS);
    return g.quic * 100 < g.lz * WORTH_IT;
}
