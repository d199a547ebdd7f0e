#include "spice/server/picture.h"

#include "spice/codec/content.h"
#include "spice/codec/glz_deflate.h"
#include "spice/codec/glz_encode.h"
#include "spice/codec/jpeg.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"

#include <errno.h>
#include <stdlib.h>

/* So much of what GLZ grew to is kept for the next picture. */
#define KEEP_STREAM (512 * 1024)
/* Below this many bytes no codec's header pays. */
#define TINY_BYTES 256
/* A picture that need not be exact: of so many pixels and more, in this quality. */
#define LOSSY_PIXELS 1024
#define LOSSY_QUALITY 85

struct picture_encoder {
    struct lz *lz;
    struct lz4 *lz4;
    struct quic *quic;
    struct glz_encoder *glz; /* NULL: the client has no dictionary for us */
    struct jpeg *jpeg;       /* NULL: not needed yet */
    struct glz_deflate *deflate;
    struct writer stream; /* of GLZ, before zlib */
};

struct picture_encoder *picture_encoder_create(void)
{
    struct picture_encoder *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->lz = lz_create();
    e->lz4 = lz4_create();
    e->quic = quic_create();
    e->deflate = glz_deflate_create();
    writer_init(&e->stream, MSG_MAX_SIZE);
    if (!e->lz || !e->lz4 || !e->quic || !e->deflate) {
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
    glz_encoder_destroy(e->glz);
    jpeg_codec_destroy(e->jpeg);
    glz_deflate_destroy(e->deflate);
    writer_fini(&e->stream);
    free(e);
}

void picture_use_dictionary(struct picture_encoder *e, uint32_t window, uint64_t next)
{
    if (e->glz || !window)
        return;
    e->glz = glz_encoder_create(window);
    if (e->glz)
        glz_encoder_go_on(e->glz, next);
}

uint64_t picture_next(const struct picture_encoder *e)
{
    return e->glz ? glz_encoder_next(e->glz) : 0;
}

/* --- what kind of content --- */

bool picture_is_quick(const struct picture_wish *wish)
{
    return wish->hurry && wish->lz4 &&
           (wish->compression == SPICE_IMAGE_COMPRESSION_AUTO_GLZ || wish->compression == SPICE_IMAGE_COMPRESSION_AUTO_LZ);
}

static unsigned choose_lossless(const struct picture_encoder *e, const struct image *image,
                                const struct picture_wish *wish)
{
    if (picture_is_quick(wish))
        return SPICE_IMAGE_TYPE_LZ4;
    if (content_is_gradual(image))
        return wish->lossy && image->width * image->height >= LOSSY_PIXELS ? SPICE_IMAGE_TYPE_JPEG
                                                                            : SPICE_IMAGE_TYPE_QUIC;
    return e->glz && wish->compression != SPICE_IMAGE_COMPRESSION_AUTO_LZ ? SPICE_IMAGE_TYPE_GLZ_RGB
                                                                          : SPICE_IMAGE_TYPE_LZ_RGB;
}

static unsigned choose_type(const struct picture_encoder *e, const struct image *image,
                            const struct picture_wish *wish)
{
    switch (wish->compression) {
    case SPICE_IMAGE_COMPRESSION_OFF:
        return SPICE_IMAGE_TYPE_BITMAP;
    case SPICE_IMAGE_COMPRESSION_QUIC:
        return SPICE_IMAGE_TYPE_QUIC;
    case SPICE_IMAGE_COMPRESSION_LZ4:
        return wish->lz4 ? SPICE_IMAGE_TYPE_LZ4 : SPICE_IMAGE_TYPE_LZ_RGB;
    case SPICE_IMAGE_COMPRESSION_LZ:
        return SPICE_IMAGE_TYPE_LZ_RGB;
    case SPICE_IMAGE_COMPRESSION_GLZ:
        return e->glz ? SPICE_IMAGE_TYPE_GLZ_RGB : SPICE_IMAGE_TYPE_LZ_RGB;
    default:
        return choose_lossless(e, image, wish);
    }
}

/* --- encoding --- */

static int encode_jpeg(struct picture_encoder *e, const struct image *image, struct writer *w)
{
    if (!e->jpeg)
        e->jpeg = jpeg_codec_create();
    return e->jpeg ? jpeg_encode(e->jpeg, w, image, LOSSY_QUALITY) : -ENOMEM;
}

/* With zlib around it where that makes it smaller. */
static int encode_glz(struct picture_encoder *e, const struct image *image,
                      const struct picture_wish *wish, struct writer *w, struct picture *picture)
{
    int err;

    writer_trim(&e->stream, KEEP_STREAM);
    err = glz_encode(e->glz, &e->stream, image, &picture->glz_id);
    if (err)
        return err;
    picture->glz_size = e->stream.size;
    if (!wish->no_zlib &&
        glz_deflate(e->deflate, w, e->stream.data, e->stream.size) == 0) {
        picture->type = SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB;
        return 0;
    }
    writer_bytes(w, e->stream.data, e->stream.size);
    if (!w->bad)
        return 0;
    glz_withdraw(e->glz, picture->glz_id);
    return -ENOMEM;
}

static int encode_as(struct picture_encoder *e, const struct image *image,
                     const struct picture_wish *wish, struct writer *w, struct picture *picture)
{
    switch (picture->type) {
    case SPICE_IMAGE_TYPE_QUIC:
        return quic_encode(e->quic, w, image);
    case SPICE_IMAGE_TYPE_LZ4:
        return lz4_encode(e->lz4, w, image, 1);
    case SPICE_IMAGE_TYPE_LZ_RGB:
        return lz_encode(e->lz, w, image);
    case SPICE_IMAGE_TYPE_JPEG:
        return encode_jpeg(e, image, w);
    case SPICE_IMAGE_TYPE_GLZ_RGB:
        return encode_glz(e, image, wish, w, picture);
    default:
        return -EINVAL;
    }
}

static int encode_raw(const struct image *from, struct writer *w)
{
    struct image to = *from;

    to.stride = from->width * 4;
    to.data = writer_extend(w, (size_t)to.stride * to.height);
    if (!to.data)
        return -ENOMEM;
    image_copy_rows(&to, from->data, from->stride);
    return 0;
}

int picture_encode(struct picture_encoder *e, const struct image *from,
                   const struct picture_wish *wish, struct writer *w, struct picture *picture)
{
    size_t raw = (size_t)from->width * from->height * 4;
    int err;

    *picture = (struct picture){.type = SPICE_IMAGE_TYPE_BITMAP,
                                .width = from->width,
                                .height = from->height,
                                .at = w->size};
    if (raw > TINY_BYTES)
        picture->type = choose_type(e, from, wish);
    err = encode_as(e, from, wish, w, picture);
    if (err == -E2BIG) { /* larger than the dictionary */
        picture->type = SPICE_IMAGE_TYPE_LZ_RGB;
        err = encode_as(e, from, wish, w, picture);
    }
    /* A picture that grows, or that the codec has no form for, goes as it is. */
    if (err || w->size - picture->at >= raw) {
        if (!err)
            picture_withdraw(e, picture);
        w->size = picture->at;
        picture->type = SPICE_IMAGE_TYPE_BITMAP;
        err = encode_raw(from, w);
    }
    picture->size = w->size - picture->at;
    return err;
}

void picture_withdraw(struct picture_encoder *e, const struct picture *p)
{
    if (p->type == SPICE_IMAGE_TYPE_GLZ_RGB || p->type == SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB)
        glz_withdraw(e->glz, p->glz_id);
}

struct spice_image picture_image(const struct picture *p, const struct writer *w)
{
    struct spice_image image = {.type = p->type, .width = p->width, .height = p->height};

    if (p->type == SPICE_IMAGE_TYPE_BITMAP)
        image.bitmap = (struct spice_bitmap){
            .format = SPICE_BITMAP_FMT_32BIT,
            .flags = SPICE_BITMAP_FLAGS_TOP_DOWN,
            .width = p->width,
            .height = p->height,
            .stride = p->width * 4,
            .data = w->data + p->at,
        };
    else if (p->type == SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB)
        image.zlib_glz = (struct spice_zlib_glz){p->glz_size, p->size, w->data + p->at};
    else
        image.data = (struct spice_data){p->size, w->data + p->at};
    return image;
}
