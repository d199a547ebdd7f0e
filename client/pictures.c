#include "client/pictures.h"

#include "base/error.h"
#include "canvas/picture.h"
#include "client/picture_cache.h"
#include "spice/codec/glz.h"
#include "spice/codec/jpeg.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4.h"
#include "spice/codec/quic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

/* Twice of what the server was told, for pictures that are being replaced. */
#define CACHE_MAX_PIXELS (2ull * PICTURES_CACHE_PIXELS)

struct pictures {
    struct picture_cache cache;
    struct palette_cache palettes;
    struct lz *lz;
    struct lz4 *lz4;
    struct quic *quic;
    struct glz_window *glz;
    struct jpeg *jpeg;
    struct pictures_stats stats;
    uint32_t surface_format; /* that the present picture is for */
    uint32_t colors[256];    /* of its palette */
};

struct pictures *pictures_create(void)
{
    struct pictures *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->cache.max_pixels = CACHE_MAX_PIXELS;
    p->lz = lz_create();
    p->lz4 = lz4_create();
    p->quic = quic_create();
    p->glz = glz_window_create(PICTURES_GLZ_PIXELS);
    p->jpeg = jpeg_codec_create();
    if (p->lz && p->lz4 && p->quic && p->glz && p->jpeg)
        return p;
    pictures_destroy(p);
    return NULL;
}

void pictures_destroy(struct pictures *p)
{
    if (!p)
        return;
    picture_cache_clear(&p->cache);
    lz_destroy(p->lz);
    lz4_destroy(p->lz4);
    quic_destroy(p->quic);
    glz_window_destroy(p->glz);
    jpeg_codec_destroy(p->jpeg);
    free(p);
}

const struct pictures_stats *pictures_stats(const struct pictures *p)
{
    return &p->stats;
}

/* As the cache keeps it. An image may have none: that is no error here. */
static int find_sent_palette(struct pictures *p, uint8_t flags, uint64_t id,
                        const struct spice_palette *sent, struct palette *palette)
{
    struct cached_palette *cached;

    *palette = (struct palette){NULL, 0};
    if (flags & SPICE_BITMAP_FLAGS_PAL_FROM_CACHE) {
        cached = palette_cache_find(&p->palettes, id);
        if (!cached)
            return fail(-EBADMSG, "palette %" PRIx64 " is not in the cache", id);
        *palette = (struct palette){cached->entries, cached->count};
        return 0;
    }
    if (!sent)
        return 0;
    *palette = (struct palette){sent->entries, sent->count};
    if (flags & SPICE_BITMAP_FLAGS_PAL_CACHE_ME)
        return palette_cache_add(&p->palettes, sent->unique, sent->entries, sent->count);
    return 0;
}

/* The palette of an image: sent with it, or from the cache. Lasts until the next call. */
static int find_palette(struct pictures *p, uint8_t flags, uint64_t id, const struct spice_palette *sent,
                        struct palette *palette)
{
    int err = find_sent_palette(p, flags, id, sent, palette);

    if (err || !palette->entries)
        return err;
    palette->count = MIN(palette->count, ARRAY_SIZE(p->colors));
    memcpy(p->colors, palette->entries, palette->count * sizeof(*p->colors));
    picture_palette_colors(p->colors, palette->count, p->surface_format);
    palette->entries = p->colors;
    return 0;
}

static struct image bitmap_view(const struct spice_bitmap *b)
{
    return (struct image){(uint8_t *)b->data, b->width, b->height, b->stride, b->format};
}

static int decode_bitmap(struct pictures *p, const struct spice_image *image, pixman_image_t **out)
{
    const struct spice_bitmap *b = &image->bitmap;
    struct image view = bitmap_view(b);
    struct palette palette;
    int err = find_palette(p, b->flags, b->palette_id, b->palette, &palette);

    return err ? err
               : picture_from_bitmap(&view, b->flags & SPICE_BITMAP_FLAGS_TOP_DOWN, &palette, out);
}

/* A stream that says its shape itself: it must be the one that the message says. */
static int check_shape(const struct spice_image *image, const struct image *shape)
{
    if (shape->width != image->width || shape->height != image->height)
        return fail(-EBADMSG, "the picture has %ux%u pixels instead of %ux%u", shape->width,
                    shape->height, image->width, image->height);
    return 0;
}

static int decode_lz_data(struct pictures *p, const struct spice_image *image, const uint8_t *data,
                          size_t size, const struct palette *palette, pixman_image_t **out)
{
    struct image shape, view;
    int err = lz_peek(data, size, &shape);

    if (!err)
        err = check_shape(image, &shape);
    if (!err)
        err = picture_create(shape.format, image->width, image->height, out, &view);
    return err ? err : lz_decode(p->lz, data, size, &view, palette);
}

static int decode_lz(struct pictures *p, const struct spice_image *image, pixman_image_t **out)
{
    return decode_lz_data(p, image, image->data.data, image->data.size, NULL, out);
}

static int decode_lz_plt(struct pictures *p, const struct spice_image *image, pixman_image_t **out)
{
    const struct spice_lz_plt *l = &image->lz_plt;
    struct palette palette;
    int err = find_palette(p, l->flags, l->palette_id, l->palette, &palette);

    return err ? err : decode_lz_data(p, image, l->data, l->size, &palette, out);
}

static int decode_lz4(struct pictures *p, const struct spice_image *image, pixman_image_t **out)
{
    struct image view;
    uint8_t format;
    int err = lz4_peek(image->data.data, image->data.size, &format);

    if (!err)
        err = picture_create(format, image->width, image->height, out, &view);
    return err ? err : lz4_decode(p->lz4, image->data.data, image->data.size, &view);
}

static int decode_quic(struct pictures *p, const struct spice_image *image, pixman_image_t **out)
{
    struct image shape, view;
    int err = quic_peek(image->data.data, image->data.size, &shape);

    if (!err)
        err = check_shape(image, &shape);
    if (!err)
        err = picture_create(shape.format, image->width, image->height, out, &view);
    return err ? err : quic_decode(p->quic, image->data.data, image->data.size, &view);
}

/* The window is this channel's alone: a picture that is not in it will never come. */
static int glz_result(int err)
{
    return err == -EAGAIN ? fail(-EBADMSG, "it refers to a picture that never came") : err;
}

static int decode_glz(struct pictures *p, const struct spice_image *image, pixman_image_t **out)
{
    struct image shape, view;
    int err = glz_peek(image->data.data, image->data.size, &shape);

    if (!err)
        err = check_shape(image, &shape);
    if (!err)
        err = picture_create(shape.format, image->width, image->height, out, &view);
    return err ? err : glz_result(glz_decode(p->glz, image->data.data, image->data.size, &view));
}

static int decode_zlib_glz_as(struct pictures *p, const struct spice_image *image, uint8_t format,
                              pixman_image_t **out)
{
    const struct spice_zlib_glz *z = &image->zlib_glz;
    struct image view;
    int err = picture_create(format, image->width, image->height, out, &view);

    return err ? err : glz_decode_zlib(p->glz, z->data, z->size, z->glz_size, &view);
}

/* Whether there is alpha shows only after inflating: -EINVAL then asks for the other format. */
static int decode_zlib_glz(struct pictures *p, const struct spice_image *image,
                           pixman_image_t **out)
{
    int err = decode_zlib_glz_as(p, image, SPICE_BITMAP_FMT_32BIT, out);

    if (err == -EINVAL && *out) {
        pixman_image_unref(*out);
        *out = NULL;
        err = decode_zlib_glz_as(p, image, SPICE_BITMAP_FMT_RGBA, out);
    }
    return glz_result(err);
}

static int decode_jpeg_alpha(struct pictures *p, const struct spice_image *image,
                             pixman_image_t **out)
{
    const struct spice_jpeg_alpha *j = &image->jpeg_alpha;
    struct image view;
    int err = picture_create(SPICE_BITMAP_FMT_RGBA, image->width, image->height, out, &view);

    return err ? err : jpeg_alpha_decode(p->jpeg, p->lz, j->data, j->size, j->jpeg_size, &view);
}

static int decode_jpeg(struct pictures *p, const struct spice_image *image, pixman_image_t **out)
{
    struct image view;
    int err = picture_create(SPICE_BITMAP_FMT_32BIT, image->width, image->height, out, &view);

    return err ? err : jpeg_decode(p->jpeg, image->data.data, image->data.size, &view);
}

static int find_cached(struct pictures *p, const struct spice_image *image, pixman_image_t **out)
{
    pixman_image_t *picture = picture_cache_find(&p->cache, image->id);

    if (!picture)
        return fail(-EBADMSG, "picture %" PRIx64 " is not in the cache", image->id);
    *out = pixman_image_ref(picture);
    return 0;
}

static int (*const decoders[])(struct pictures *p, const struct spice_image *image,
                               pixman_image_t **out) = {
    [SPICE_IMAGE_TYPE_BITMAP] = decode_bitmap,
    [SPICE_IMAGE_TYPE_QUIC] = decode_quic,
    [SPICE_IMAGE_TYPE_LZ_RGB] = decode_lz,
    [SPICE_IMAGE_TYPE_LZ_PLT] = decode_lz_plt,
    [SPICE_IMAGE_TYPE_LZ4] = decode_lz4,
    [SPICE_IMAGE_TYPE_GLZ_RGB] = decode_glz,
    [SPICE_IMAGE_TYPE_ZLIB_GLZ_RGB] = decode_zlib_glz,
    [SPICE_IMAGE_TYPE_JPEG] = decode_jpeg,
    [SPICE_IMAGE_TYPE_JPEG_ALPHA] = decode_jpeg_alpha,
    [SPICE_IMAGE_TYPE_FROM_CACHE] = find_cached,
    [SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS] = find_cached,
};

static bool is_cached(const struct spice_image *image)
{
    return image->type == SPICE_IMAGE_TYPE_FROM_CACHE ||
           image->type == SPICE_IMAGE_TYPE_FROM_CACHE_LOSSLESS;
}

static int note_failure(const struct spice_image *image, int err)
{
    if (!fail_text()[0])
        fail(err, "malformed");
    return fail_prefix(err, "image of type %u, %ux%u", image->type, image->width, image->height);
}

static int finish(struct pictures *p, const struct spice_image *image, int err,
                  pixman_image_t **out)
{
    bool keep = image->flags & (SPICE_IMAGE_FLAGS_CACHE_ME | SPICE_IMAGE_FLAGS_CACHE_REPLACE_ME);

    if (!err && keep && !is_cached(image)) {
        err = picture_cache_add(&p->cache, image->id, *out);
        if (err)
            fail(err, "cannot keep picture %" PRIx64 ": %s", image->id, strerror(-err));
    }
    if (!err)
        return 0;
    if (*out)
        pixman_image_unref(*out);
    *out = NULL;
    return note_failure(image, err);
}

int pictures_get(struct pictures *p, const struct spice_image *image, uint32_t surface_format, pixman_image_t **picture)
{
    uint64_t start = uv_hrtime();
    int err;

    p->surface_format = surface_format;
    *picture = NULL;
    if (image->type >= ARRAY_SIZE(decoders) || !decoders[image->type])
        err = fail(-EBADMSG, "this client did not ask for such");
    else
        err = decoders[image->type](p, image, picture);
    p->stats.count[image->type]++;
    if (!is_cached(image)) {
        p->stats.decode_ns += uv_hrtime() - start;
        p->stats.decoded_pixels += (uint64_t)image->width * image->height;
    }
    return finish(p, image, err, picture);
}

static int decode_mask(const struct spice_image *image, pixman_image_t **mask)
{
    const struct spice_bitmap *b = &image->bitmap;
    struct image view = bitmap_view(b);

    if (image->type != SPICE_IMAGE_TYPE_BITMAP)
        return fail(-EBADMSG, "a mask must be a bitmap");
    return picture_mask(&view, b->flags & SPICE_BITMAP_FLAGS_TOP_DOWN, false, mask);
}

static int invert(pixman_image_t **mask)
{
    struct image view = {(uint8_t *)pixman_image_get_data(*mask),
                         (uint32_t)pixman_image_get_width(*mask),
                         (uint32_t)pixman_image_get_height(*mask),
                         (uint32_t)pixman_image_get_stride(*mask), SPICE_BITMAP_FMT_1BIT_LE};
    pixman_image_t *inverted;
    int err = picture_mask(&view, true, true, &inverted);

    if (err)
        return err;
    pixman_image_unref(*mask);
    *mask = inverted;
    return 0;
}

int pictures_get_mask(struct pictures *p, const struct spice_image *image, bool inverted,
                      pixman_image_t **mask)
{
    int err;

    *mask = NULL;
    err = is_cached(image) ? find_cached(p, image, mask) : decode_mask(image, mask);
    if (!err && pixman_image_get_format(*mask) != PIXMAN_a1)
        err = fail(-EBADMSG, "a mask must have one bit a pixel");
    err = finish(p, image, err, mask);
    if (err || !inverted)
        return err;
    err = invert(mask);
    if (err)
        pixman_image_unref(*mask);
    return err;
}

void pictures_forget(struct pictures *p, uint64_t id)
{
    picture_cache_remove(&p->cache, id);
}

void pictures_forget_all(struct pictures *p)
{
    picture_cache_clear(&p->cache);
}

void pictures_forget_palette(struct pictures *p, uint64_t id)
{
    struct cached_palette *palette = palette_cache_find(&p->palettes, id);

    if (palette)
        palette->count = 0;
}

void pictures_forget_palettes(struct pictures *p)
{
    palette_cache_clear(&p->palettes);
}
