#include "spice/codec/lz4.h"

#include "spice/codec/sink.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>

#define HEADER_BYTES 2
#define BLOCK_BYTES                                                                                \
    262144 /* of pixels in a block we write: bounds what the encoder must reserve at once */

struct lz4 {
    LZ4_stream_t stream;
    struct scratch pixels;
};

struct lz4 *lz4_create(void)
{
    return calloc(1, sizeof(struct lz4));
}

void lz4_destroy(struct lz4 *lz4)
{
    if (!lz4)
        return;
    scratch_fini(&lz4->pixels);
    free(lz4);
}

static bool has_form(uint8_t format)
{
    return format >= SPICE_BITMAP_FMT_16BIT && format <= SPICE_BITMAP_FMT_RGBA;
}

static bool put_block(struct lz4 *lz4, struct sink *s, const uint8_t *from, size_t size,
                      int acceleration)
{
    size_t room;
    int n;

    sink_commit(s);
    /* Near the writer's max, what is left may still be enough. */
    room = MIN(4 + (size_t)LZ4_compressBound((int)size), s->w->max - s->w->size);
    if (room <= 4 || !sink_reserve(s, room))
        return false;
    n = LZ4_compress_fast_continue(&lz4->stream, (const char *)from, (char *)s->p + 4, (int)size,
                                   (int)room - 4, acceleration);
    if (n <= 0)
        return false;
    store_be32(s->p, (uint32_t)n);
    s->p += 4 + n;
    return true;
}

static bool put_blocks(struct lz4 *lz4, struct sink *s, const uint8_t *px, size_t row,
                       uint32_t height, int acceleration)
{
    uint32_t step = (uint32_t)MAX(BLOCK_BYTES / row, 1u);

    for (uint32_t y = 0; y < height; y += step)
        if (!put_block(lz4, s, px + y * row, MIN(step, height - y) * row, acceleration))
            return false;
    return true;
}

int lz4_encode(struct lz4 *lz4, struct writer *w, const struct image *image, int acceleration)
{
    size_t row = image_row_bytes(image->format, image->width);
    const uint8_t *px = image->data;
    struct sink s;

    if (image_check(image) || !has_form(image->format))
        return -EINVAL;
    if (image->stride != row) {
        struct image packed = *image;

        packed.data = scratch_get(&lz4->pixels, row * image->height);
        packed.stride = (uint32_t)row;
        if (!packed.data)
            return -ENOMEM;
        image_copy_rows(&packed, image->data, image->stride);
        px = packed.data;
    }
    sink_begin(&s, w);
    if (!sink_reserve(&s, HEADER_BYTES))
        return -ENOSPC;
    *s.p++ = 1;
    *s.p++ = image->format;
    LZ4_resetStream_fast(&lz4->stream);
    if (!put_blocks(lz4, &s, px, row, image->height, acceleration)) {
        sink_abort(&s);
        return -ENOSPC;
    }
    sink_commit(&s);
    return 0;
}

int lz4_peek(const void *data, size_t size, uint8_t *format)
{
    const uint8_t *p = data;

    if (size < HEADER_BYTES || !(has_form(p[1]) || p[1] == SPICE_BITMAP_FMT_8BIT_A))
        return -EBADMSG;
    *format = p[1];
    return 0;
}

static int read_blocks(struct reader *r, uint8_t *to, size_t left)
{
    LZ4_streamDecode_t stream;

    LZ4_setStreamDecode(&stream, NULL, 0);
    while (left) {
        const uint8_t *p = reader_bytes(r, 4);
        uint32_t size = p ? load_be32(p) : 0;
        int n;

        p = reader_bytes(r, size);
        if (!p || !size || size > INT32_MAX)
            return -EBADMSG;
        n = LZ4_decompress_safe_continue(&stream, (const char *)p, (char *)to, (int)size,
                                         (int)left);
        if (n <= 0)
            return -EBADMSG;
        to += n;
        left -= (size_t)n;
    }
    return 0;
}

static void store_rows(const struct image *image, const uint8_t *from, ptrdiff_t step,
                       uint8_t format)
{
    if (image->format == format) {
        image_copy_rows(image, from, step);
        return;
    }
    for (uint32_t y = 0; y < image->height; y++, from += step)
        image_row_to_rgb32(image_row(image, y), from, format, image->width, NULL);
}

int lz4_decode(struct lz4 *lz4, const void *data, size_t size, const struct image *image)
{
    const uint8_t *head = data;
    struct reader r;
    uint8_t format, *px;
    size_t row;
    int err;

    if (image_check(image))
        return -EINVAL;
    if (lz4_peek(data, size, &format))
        return -EBADMSG;
    if (image->format != format &&
        (image->format != SPICE_BITMAP_FMT_32BIT || format >= SPICE_BITMAP_FMT_RGBA))
        return -EINVAL;
    reader_init(&r, head + HEADER_BYTES, size - HEADER_BYTES);
    row = image_row_bytes(format, image->width);
    if (head[0] && image->format == format && image->stride == row)
        return read_blocks(&r, image->data, row * image->height);
    px = scratch_get(&lz4->pixels, row * image->height);
    if (!px)
        return -ENOMEM;
    err = read_blocks(&r, px, row * image->height);
    if (err)
        return err;
    if (head[0])
        store_rows(image, px, (ptrdiff_t)row, format);
    else
        store_rows(image, px + row * (image->height - 1), -(ptrdiff_t)row, format);
    return 0;
}
