/*
 * Frames of a stream from a hostile server. The first byte chooses the codec; each frame has two bytes of length before it.
 * With OURS they are pictures, of which our encoder makes frames, and these must be taken.
 */
#include "spice/codec/video.h"
#include "tests/fuzz/fuzz_picture.h"

#define OURS   0x80 /* in the first byte */
#define FRAMES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill(const struct image *image, const uint8_t *data, size_t size, unsigned n)
{
    for (size_t i = 0; i < (size_t)image->stride * image->height; i++)
        image->data[i] = size ? data[(i / 5 + n) % size] : (uint8_t)(i * n);
}

static void there_and_back(uint8_t codec, struct video_decoder *d, const uint8_t *data, size_t size, const struct image *image)
{
    struct video_encoder *e = video_encoder_create(codec, image->width, image->height);
    struct writer w;

    writer_init(&w, MIB(4));
    for (unsigned n = 0; e && n < FRAMES; n++) {
        struct video_wish wish = {100000u << n, n * 40, n == 0 || n == 3};

        fill(image, data, size, n);
        writer_reset(&w);
        if (video_encode(e, &w, image, &wish) == 0 && w.size && video_decode(d, w.data, w.size, image))
            abort();
    }
    writer_fini(&w);
    video_encoder_destroy(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct video_decoder *d = NULL;
    struct image image;
    uint8_t codec = size ? (data[0] & ~OURS) % SPICE_VIDEO_CODEC_TYPE_ENUM_END : 0;
    bool ours = size && data[0] & OURS;

    if (size)
        d = video_decoder_create(codec);
    if (!d)
        return 0;
    data++;
    size--;
    if (fuzz_picture(&data, &size, &image)) {
        if (ours && image.format == SPICE_BITMAP_FMT_32BIT && video_can_encode(codec)) {
            there_and_back(codec, d, data, size, &image);
            size = 0;
        }
        while (size > 2) {
            size_t length = MIN((size_t)(data[0] | data[1] << 8), size - 2);

            video_decode(d, data + 2, length, &image);
            data += 2 + length;
            size -= 2 + length;
        }
        free(image.data);
    }
    video_decoder_destroy(d);
    return 0;
}
