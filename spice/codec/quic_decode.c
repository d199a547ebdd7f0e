#include "spice/codec/quic_model.h"

#include <errno.h>

static int read_header(const uint8_t *data, size_t size, uint32_t *type, struct image *shape)
{
    if (size < 4 * QUIC_HEADER_WORDS || load_le32(data) != QUIC_MAGIC || load_le32(data + 4) != 0)
        return -EBADMSG;
    *type = load_le32(data + 8);
    if (*type >= QUIC_TYPE_END)
        return -EBADMSG;
    *shape = (struct image){.width = load_le32(data + 12),
                            .height = load_le32(data + 16),
                            .stride = UINT32_MAX,
                            .format = quic_forms[*type].format};
    return image_check(shape) ? -EBADMSG : 0;
}

int quic_peek(const void *data, size_t size, struct image *shape)
{
    struct image found;
    uint32_t type;
    int err = read_header(data, size, &type, &found);

    if (err)
        return err;
    shape->width = found.width;
    shape->height = found.height;
    shape->format = found.format;
    return 0;
}

/*
 * The codes as big-endian bytes, and zeros enough that a row may read on past the end: whether it did is asked after it.
 * Zeros cannot lengthen a run, so a pixel takes QUIC_ROW_BITS at most.
 */
static int begin_bits(struct quic *quic, const uint8_t *data, size_t size, uint32_t width)
{
    size_t slack = (size_t)width * QUIC_ROW_BITS / 8 + QUIC_SLACK;
    uint8_t *to = scratch_get(&quic->stream, size + slack);

    if (!to)
        return -ENOMEM;
    for (size_t i = 0; i < size; i += 4)
        store_le32(to + i, load_be32(data + i));
    memset(to + size, 0, slack);
    quic->in = (struct quic_bit_reader){.p = to};
    return 0;
}

static bool ran_out(const struct quic *quic, size_t size)
{
    return (size_t)(quic->in.p - quic->stream.data) * 8 - quic->in.count > size * 8;
}

static void store_16(uint8_t *to, const uint32_t *px, uint32_t width)
{
    for (uint32_t x = 0; x < width; x++, to += 2)
        store_le16(to, (uint16_t)(px[x] >> 6 & 0x7c00) | (px[x] >> 3 & 0x3e0) | (px[x] & 0x1f));
}

static void store_row(const struct quic *quic, const struct image *image, uint32_t y, uint32_t type)
{
    const uint32_t *px = quic->pass[0].pixels[y & 1], *alpha = quic->pass[1].pixels[y & 1];
    uint8_t *to = image_row(image, y);

    switch (image->format) {
    case SPICE_BITMAP_FMT_16BIT:
        store_16(to, px, image->width);
        return;
    case SPICE_BITMAP_FMT_24BIT:
        for (uint32_t x = 0; x < image->width; x++)
            memcpy(to + 3 * x, &px[x], 3);
        return;
    case SPICE_BITMAP_FMT_8BIT_A:
        for (uint32_t x = 0; x < image->width; x++)
            to[x] = (uint8_t)px[x];
        return;
    case SPICE_BITMAP_FMT_RGBA:
        for (uint32_t x = 0; x < image->width; x++)
            store_le32(to + 4 * x, px[x] | alpha[x] << 24);
        return;
    }
    if (type == QUIC_RGB16) /* five bits to eight */
        for (uint32_t x = 0; x < image->width; x++)
            store_le32(to + 4 * x, px[x] << 3 | (px[x] >> 2 & 0x070707));
    else
        memcpy(to, px, 4 * (size_t)image->width);
}

/* Rows that need no change of form are decoded where they belong. */
static bool in_place(const struct image *image, uint32_t type)
{
    return (type == QUIC_RGB32 || type == QUIC_RGB24) && image->format == SPICE_BITMAP_FMT_32BIT &&
           !(((uintptr_t)image->data | image->stride) & 3);
}

static int take_rows(struct quic *quic, const struct image *image, uint32_t type, size_t size)
{
    bool direct = in_place(image, type);

    for (uint32_t y = 0; y < image->height; y++) {
        for (unsigned i = 0; i <= quic_forms[type].alpha; i++) {
            struct quic_pass *pass = &quic->pass[i];
            uint32_t *cur = pass->pixels[y & 1], *above = pass->pixels[~y & 1];

            if (direct) {
                cur = (uint32_t *)image_row(image, y);
                above = y ? (uint32_t *)image_row(image, y - 1) : NULL;
            }
            if (!quic->ops->decode_row(pass, &quic->in, above, cur, image->width, y == 0) ||
                ran_out(quic, size))
                return -EBADMSG;
        }
        if (!direct)
            store_row(quic, image, y, type);
    }
    return 0;
}

int quic_decode(struct quic *quic, const void *data, size_t size, const struct image *image)
{
    const uint8_t *bytes = data;
    struct image shape;
    uint32_t type;
    size_t codes;

    if (image_check(image))
        return -EINVAL;
    if (read_header(bytes, size, &type, &shape) || shape.width != image->width ||
        shape.height != image->height)
        return -EBADMSG;
    if (shape.format != image->format && (image->format != SPICE_BITMAP_FMT_32BIT ||
                                          quic_forms[type].channels != 3 || quic_forms[type].alpha))
        return -EINVAL;
    codes = ALIGN_DOWN(size, 4) - 4 * QUIC_HEADER_WORDS;
    if (quic_begin(quic, &quic_forms[type], image->width) ||
        begin_bits(quic, bytes + 4 * QUIC_HEADER_WORDS, codes, image->width))
        return -ENOMEM;
    return take_rows(quic, image, type, codes);
}
