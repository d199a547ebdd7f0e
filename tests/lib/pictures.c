#include "tests/lib/pictures.h"

#include "base/bytes.h"

#include <stdlib.h>

const char *const picture_content_names[PICTURE_CONTENTS] = {"flat",  "noise", "gradient",
                                                             "photo", "text",  "ui"};

uint32_t picture_random(uint32_t *state)
{
    uint64_t v = (*state += 0x9e3779b9u);

    v = (v ^ v >> 16) * 0x85ebca6b & 0xffffffff;
    v = (v ^ v >> 13) * 0xc2b2ae35 & 0xffffffff;
    return (uint32_t)(v ^ v >> 16);
}

/* Roughly a sine of 1024 steps, in whole numbers so that every machine draws the same. */
static uint32_t wave(uint32_t phase)
{
    uint32_t half = phase % 512, v = half * (512 - half) * 110 / 65536;

    return phase % 1024 < 512 ? 128 + v : 128 - v;
}

static uint32_t gradient(uint32_t x, uint32_t y, uint32_t noise)
{
    uint32_t r = wave(x * 8 / 3 + y), g = wave(x * 7 / 6 + 65536 - y * 7 / 3),
             b = wave((x + y) * 4 / 5);

    if (noise)
        r += noise % 7, g += noise / 8 % 6, b += noise / 64 % 5;
    return r << 16 | g << 8 | b | (0xffu - (x + y) / 8 % 64) << 24;
}

/* Letters of 8x16: each of 40 shapes a fixed pattern, with one grey level at its edges. */
static uint32_t letter(uint32_t x, uint32_t y, uint32_t seed)
{
    uint32_t cell = seed + y / 16 * 977 + x / 8, shape = picture_random(&cell) % 40, row;

    if (shape < 8 || y % 16 < 3 || y % 16 > 12)
        return 0xffffffff;
    row = shape * 31 + y % 16 / 2;
    row = picture_random(&row);
    return row >> x % 8 & 1 ? (row >> (8 + x % 8) & 1 ? 0xff202020 : 0xff8890a0) : 0xffffffff;
}

static uint32_t ui(uint32_t x, uint32_t y, uint32_t seed)
{
    if (y % 240 < 24)
        return 0xff3060a0 + (y % 240) * 0x010101;
    if (x % 320 == 0 || y % 240 == 239)
        return 0xff404040;
    if (x % 320 > 200)
        return 0xffe8e8e8;
    return y % 240 > 60 ? letter(x, y, seed) : 0xfff4f4f0;
}

static uint32_t content_pixel(enum picture_content content, uint32_t x, uint32_t y, uint32_t seed,
                              uint32_t *random)
{
    switch (content) {
    case PICTURE_FLAT:
        return 0x80123456 ^ seed;
    case PICTURE_NOISE:
        return picture_random(random);
    case PICTURE_GRADIENT:
        return gradient(x + seed % 64, y, 0);
    case PICTURE_PHOTO:
        return gradient(x + seed % 64, y, 1 + picture_random(random) % 4096);
    case PICTURE_TEXT:
        return letter(x, y, seed);
    default:
        return ui(x, y, seed);
    }
}

static void store_pixel(const struct image *image, uint32_t x, uint32_t y, uint32_t v)
{
    uint8_t *row = image_row(image, y);

    switch (image->format) {
    case SPICE_BITMAP_FMT_16BIT:
        store_le16(row + 2 * x, (uint16_t)((v >> 9 & 0x7c00) | (v >> 6 & 0x3e0) | (v >> 3 & 0x1f) |
                                           (x & 1) << 15));
        break;
    case SPICE_BITMAP_FMT_24BIT:
        memcpy(row + 3 * x, &v, 3);
        break;
    case SPICE_BITMAP_FMT_32BIT:
        store_le32(row + 4 * x, (v & 0xffffff) | x << 28);
        break;
    case SPICE_BITMAP_FMT_RGBA:
        store_le32(row + 4 * x, v);
        break;
    case SPICE_BITMAP_FMT_8BIT_A:
        row[x] = (uint8_t)(v >> 24 ^ v);
        break;
    default: /* indexed: any byte is sound */
        row[x * image_row_bytes(image->format, image->width) / image->width] = (uint8_t)(v >> 8);
    }
}

void picture_draw(const struct image *image, enum picture_content content, uint32_t seed)
{
    size_t used = image_row_bytes(image->format, image->width);
    uint32_t random = seed;

    for (uint32_t y = 0; y < image->height; y++) {
        for (uint32_t x = 0; x < image->width; x++)
            store_pixel(image, x, y, content_pixel(content, x, y, seed, &random));
        for (size_t i = used; i < image->stride; i++)
            image_row(image, y)[i] = (uint8_t)picture_random(&random);
    }
}

struct image picture_new(uint8_t format, uint32_t width, uint32_t height, uint32_t pad)
{
    struct image image = {.width = width, .height = height, .format = format};

    image.stride = (uint32_t)image_row_bytes(format, width) + pad;
    image.data = calloc(image.stride, height);
    if (!image.data)
        abort();
    return image;
}

void picture_free(struct image *image)
{
    free(image->data);
    image->data = NULL;
}

bool picture_equal(const struct image *a, const struct image *b)
{
    size_t row = image_row_bytes(a->format, a->width);

    if (a->format != b->format || a->width != b->width || a->height != b->height)
        return false;
    for (uint32_t y = 0; y < a->height; y++) {
        const uint8_t *p = image_row(a, y), *q = image_row(b, y);

        for (size_t i = 0; i < row; i++) {
            uint8_t mask = 0xff;

            if (a->format == SPICE_BITMAP_FMT_32BIT && i % 4 == 3)
                mask = 0;
            if (a->format == SPICE_BITMAP_FMT_16BIT && i % 2 == 1)
                mask = 0x7f;
            if ((p[i] ^ q[i]) & mask)
                return false;
        }
    }
    return true;
}

size_t picture_spoil(const uint8_t *data, size_t size, unsigned flips,
                     int (*decode)(void *opaque, const uint8_t *data, size_t size), void *opaque)
{
    uint32_t random = (uint32_t)size;
    size_t sound = 0;

    for (size_t n = 0; n < size + flips; n++) {
        size_t part = MIN(n, size);
        uint8_t *copy = malloc(part ? part : 1);

        if (!copy)
            abort();
        memcpy(copy, data, part);
        for (unsigned i = 0; part == size && i < 1 + n % 4; i++)
            copy[picture_random(&random) % size] = (uint8_t)picture_random(&random);
        if (decode(opaque, copy, part) == 0 && n < size)
            sound++;
        free(copy);
    }
    return sound;
}
