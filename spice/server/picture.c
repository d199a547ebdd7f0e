#include "spice/server/picture.h"

#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"

#include <errno.h>
#include <stdlib.h>

/* Below this many bytes no codec's header pays. */
#define TINY_BYTES 256
/* Pixel pairs that are looked at to judge a picture. */
#define SAMPLES 2048
/* Neighbours that differ by so little in every colour belong to a gradient or a photograph. */
#define SMALL_STEP 12

struct picture_encoder {
    struct lz *lz;
    struct lz4 *lz4;
    struct quic *quic;
    struct writer out;
};

struct picture_encoder *picture_encoder_create(void)
{
    struct picture_encoder *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->lz = lz_create();
    e->lz4 = lz4_create();
    e->quic = quic_create();
    writer_init(&e->out, MSG_MAX_SIZE);
    if (!e->lz || !e->lz4 || !e->quic) {
        picture_encoder_destroy(e);
        return NULL;
    }
    return e;
}

void picture_encoder_destroy(struct picture_encoder *e)
{
    if (!e)
        return;
    lz_destroy(e->lz);
    lz4_destroy(e->lz4);
    quic_destroy(e->quic);
    writer_fini(&e->out);
    free(e);
}

/* --- what kind of content --- */

static bool small_step(const uint8_t *a, const uint8_t *b)
{
    return abs(a[0] - b[0]) <= SMALL_STEP && abs(a[1] - b[1]) <= SMALL_STEP &&
           abs(a[2] - b[2]) <= SMALL_STEP;
}

/*
 * Photographs and gradients have neighbours that are near, but not equal: QUIC predicts them. Text and windows have equal
 * neighbours and sharp edges: LZ finds those.
 */
static bool is_gradual(const struct image *image)
{
    size_t pixels = (size_t)image->width * image->height, step = MAX(1, pixels / SAMPLES);
    unsigned near = 0, equal = 0, far = 0;

    for (size_t i = 0; i < pixels; i += step) {
        size_t x = i % image->width, y = i / image->width;
        const uint8_t *p = image->data + y * image->stride + x * 4;

        if (x + 1 == image->width)
            continue;
        if ((load_le32(p) & 0xffffff) == (load_le32(p + 4) & 0xffffff))
            equal++;
        else if (small_step(p, p + 4))
            near++;
        else
            far++;
    }
    return near > equal && near > 2 * far;
}

static unsigned choose_type(const struct image *image, const struct picture_wish *wish)
{
    switch (wish->compression) {
    case SPICE_IMAGE_COMPRESSION_OFF:
        return SPICE_IMAGE_TYPE_BITMAP;
    case SPICE_IMAGE_COMPRESSION_QUIC:
        return SPICE_IMAGE_TYPE_QUIC;
    case SPICE_IMAGE_COMPRESSION_LZ4:
        return wish->lz4 ? SPICE_IMAGE_TYPE_LZ4 : SPICE_IMAGE_TYPE_LZ_RGB;
    case SPICE_IMAGE_COMPRESSION_LZ:
    case SPICE_IMAGE_COMPRESSION_GLZ:
        return SPICE_IMAGE_TYPE_LZ_RGB;
    default:
        break;
    }
    if (wish->local && wish->lz4)
        return SPICE_IMAGE_TYPE_LZ4;
    return is_gradual(image) ? SPICE_IMAGE_TYPE_QUIC : SPICE_IMAGE_TYPE_LZ_RGB;
}

/* --- encoding --- */

static int encode_as(struct picture_encoder *e, unsigned type, const struct image *image)
{
    switch (type) {
    case SPICE_IMAGE_TYPE_QUIC:
        return quic_encode(e->quic, &e->out, image);
    case SPICE_IMAGE_TYPE_LZ4:
        return lz4_encode(e->lz4, &e->out, image, 1);
    case SPICE_IMAGE_TYPE_LZ_RGB:
        return lz_encode(e->lz, &e->out, image);
    default:
        return -EINVAL;
    }
}

static int encode_raw(struct picture_encoder *e, const struct image *from,
                      struct spice_image *image)
{
    struct image to = *from;

    image->type = SPICE_IMAGE_TYPE_BITMAP;
    to.stride = from->width * 4;
    writer_reset(&e->out);
    to.data = writer_extend(&e->out, (size_t)to.stride * to.height);
    if (!to.data)
        return -ENOMEM;
    image_copy_rows(&to, from->data, from->stride);
    image->bitmap = (struct spice_bitmap){
        .format = SPICE_BITMAP_FMT_32BIT,
        .flags = SPICE_BITMAP_FLAGS_TOP_DOWN,
        .width = to.width,
        .height = to.height,
        .stride = to.stride,
        .data = to.data,
    };
    return 0;
}

int picture_encode(struct picture_encoder *e, const struct display_surface *surface,
                   const struct rect *rect, const struct picture_wish *wish,
                   struct spice_image *image)
{
    struct image from = {
        .data = (uint8_t *)surface->pixels + (size_t)rect->top * surface->stride +
                (size_t)rect->left * 4,
        .width = rect->right - rect->left,
        .height = rect->bottom - rect->top,
        .stride = surface->stride,
        .format = SPICE_BITMAP_FMT_32BIT,
    };
    size_t raw = (size_t)from.width * from.height * 4;

    *image = (struct spice_image){
        .type = SPICE_IMAGE_TYPE_BITMAP, .width = from.width, .height = from.height};
    if (raw > TINY_BYTES)
        image->type = choose_type(&from, wish);
    writer_reset(&e->out);
    /* A picture that grows, or that the codec has no form for, goes as it is. */
    if (encode_as(e, image->type, &from) || e->out.size >= raw)
        return encode_raw(e, &from, image);
    image->data = (struct spice_data){e->out.size, e->out.data};
    return 0;
}
