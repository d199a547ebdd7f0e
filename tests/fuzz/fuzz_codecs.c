#include "spice/codec/glz.h"
#include "spice/codec/glz_deflate.h"
#include "spice/codec/glz_encode.h"
#include "spice/codec/jpeg.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"
#include "tests/lib/pictures.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * What our encoders make must come back as it was; of JPEG, which is never quite as it was, that it comes back. The input is a
 * row of pictures for all codecs and for one GLZ window: ten bytes each (the first picks the format, then width, height, how far
 * rows are apart, how the content repeats, how much the writer takes), and bytes whose number the last gives, of which the
 * content is made.
 */
#define HEAD_BYTES 10
#define MAX_COUNT  12 /* pictures of an input that are looked at */
#define MAX_SIDE   96
#define WINDOW     20000

static struct codecs {
    struct lz *lz;
    struct lz4 *lz4;
    struct quic *quic;
    struct jpeg *jpeg;
    struct glz_encoder *glz;
    struct glz_window *window;
    struct glz_deflate *deflate;
    struct writer w, zlib;
} c;

static void create(void)
{
    c.lz = lz_create();
    c.lz4 = lz4_create();
    c.quic = quic_create();
    c.jpeg = jpeg_codec_create();
    c.glz = glz_encoder_create(WINDOW);
    c.window = glz_window_create(WINDOW);
    c.deflate = glz_deflate_create();
    writer_init(&c.zlib, MIB(1));
}

/* Blocks of bytes of the input, which repeat after `period` of them. */
static void draw(const struct image *image, const uint8_t *head, const uint8_t *data, size_t size)
{
    size_t row = image_row_bytes(image->format, image->width);
    size_t across = 1 + head[5] % 16, down = 1 + head[6] % 8, period = 1 + head[7] % 64;

    for (uint32_t y = 0; y < image->height; y++)
        for (size_t x = 0; x < row; x++) {
            size_t at = x / across % period + y / down * period;
            image_row(image, y)[x] = size ? data[at % size] : (uint8_t)at;
        }
}

static void must_be(const struct image *image, const struct image *back, int err)
{
    if (err || !picture_equal(image, back))
        abort();
}

static void check_plain(const struct image *image, const struct image *back)
{
    writer_reset(&c.w);
    if (lz_encode(c.lz, &c.w, image) == 0)
        must_be(image, back, lz_decode(c.lz, c.w.data, c.w.size, back, NULL));
    writer_reset(&c.w);
    if (lz4_encode(c.lz4, &c.w, image, 1) == 0)
        must_be(image, back, lz4_decode(c.lz4, c.w.data, c.w.size, back));
    writer_reset(&c.w);
    if (quic_encode(c.quic, &c.w, image) == 0)
        must_be(image, back, quic_decode(c.quic, c.w.data, c.w.size, back));
}

/* As glz_decode() gives it. */
static struct image widened(const struct image *image)
{
    struct image wide = picture_new(SPICE_BITMAP_FMT_32BIT, image->width, image->height, 0);

    if (image->format == SPICE_BITMAP_FMT_RGBA)
        wide.format = SPICE_BITMAP_FMT_RGBA;
    for (uint32_t y = 0; y < image->height; y++)
        image_row_to_rgb32(image_row(&wide, y), image_row(image, y), image->format, image->width,
                           NULL);
    return wide;
}

static void check_glz(const struct image *image, bool withdraw)
{
    struct image wide, back;
    uint64_t id;
    int err;

    writer_reset(&c.w);
    writer_reset(&c.zlib);
    if (glz_encode(c.glz, &c.w, image, &id))
        return;
    if (withdraw) {
        if (glz_withdraw(c.glz, id))
            abort();
        return;
    }
    wide = widened(image);
    back = picture_new(wide.format, wide.width, wide.height, 4);
    if (glz_deflate(c.deflate, &c.zlib, c.w.data, c.w.size) == 0)
        err = glz_decode_zlib(c.window, c.zlib.data, c.zlib.size, c.w.size, &back);
    else
        err = glz_decode(c.window, c.w.data, c.w.size, &back);
    must_be(&wide, &back, err);
    picture_free(&wide);
    picture_free(&back);
}

static void check_jpeg(const struct image *image, int quality)
{
    struct image back = picture_new(image->format == SPICE_BITMAP_FMT_RGBA ? SPICE_BITMAP_FMT_RGBA : SPICE_BITMAP_FMT_32BIT,
                                    image->width, image->height, 0);
    size_t size;

    writer_reset(&c.w);
    if (jpeg_encode(c.jpeg, &c.w, image, quality) == 0 && jpeg_decode(c.jpeg, c.w.data, c.w.size, &back))
        abort();
    writer_reset(&c.w);
    if (image->format == SPICE_BITMAP_FMT_RGBA && jpeg_alpha_encode(c.jpeg, c.lz, &c.w, image, quality, &size) == 0 &&
        jpeg_alpha_decode(c.jpeg, c.lz, c.w.data, c.w.size, size, &back))
        abort();
    picture_free(&back);
}

static void check_picture(const uint8_t *head, const uint8_t *data, size_t size)
{
    uint8_t format = head[0] % (SPICE_BITMAP_FMT_ENUM_END - 1) + SPICE_BITMAP_FMT_1BIT_LE;
    uint32_t width = 1 + head[1] % MAX_SIDE, height = 1 + head[2] % MAX_SIDE;
    struct image image = picture_new(format, width, height, head[3] % 9);
    struct image back = picture_new(format, width, height, 0);

    draw(&image, head, data, size);
    writer_init(&c.w, head[4] < 16 ? 32u << head[4] : MIB(1));
    check_plain(&image, &back);
    if (format >= SPICE_BITMAP_FMT_16BIT && format <= SPICE_BITMAP_FMT_RGBA) {
        check_glz(&image, head[8] & 1);
        check_jpeg(&image, 1 + head[8] % 100);
    }
    writer_fini(&c.w);
    picture_free(&image);
    picture_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!c.lz)
        create();
    glz_encoder_reset(c.glz);
    glz_window_clear(c.window);
    for (int n = 0; n < MAX_COUNT && size >= HEAD_BYTES; n++) {
        const uint8_t *head = data;
        size_t part = MIN((size_t)head[9], size - HEAD_BYTES);

        check_picture(head, data + HEAD_BYTES, part);
        data += HEAD_BYTES + part;
        size -= HEAD_BYTES + part;
    }
    return 0;
}
