#include "spice/codec/glz_encode.h"

#include "spice/codec/glz_search.h"
#include "spice/codec/sink.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct glz_encoder {
    pthread_mutex_t lock;
    struct glz_dictionary dictionary;
};

static inline bool put_literals(struct sink *s, const uint32_t *px, size_t n, struct kind kind)
{
    while (n) {
        size_t part = MIN(n, LZ_MAX_LITERALS);

        if (!sink_reserve(s, 1 + LZ_MAX_LITERALS * 4))
            return false;
        *s->p++ = (uint8_t)(part - 1);
        n -= part;
        for (; part; part--, px++, s->p += kind.literal) {
            if (kind.literal == 3)
                store_le32(s->p, *px);
            else if (kind.literal == 2)
                store_be16(s->p,
                           (uint16_t)(*px >> 9 & 0x7c00) | (*px >> 6 & 0x3e0) | (*px >> 3 & 0x1f));
            else
                *s->p = (uint8_t)(*px >> 24);
        }
    }
    return true;
}

static bool put_match(struct sink *s, const struct match *m, unsigned bias)
{
    size_t length = m->length - bias;
    uint32_t offset = m->offset, distance = m->distance;
    bool wide = offset >= 1u << 12, wider = offset >= 1u << 17;
    uint8_t *code;

    if (!sink_reserve(s, length / 255 + 12))
        return false;
    *s->p++ = (uint8_t)(MIN(length, LZ_LONG_LENGTH) << 5 | wide << 4 | (offset & 0x0f));
    if (length >= LZ_LONG_LENGTH) {
        for (length -= LZ_LONG_LENGTH; length >= 255; length -= 255)
            *s->p++ = 255;
        *s->p++ = (uint8_t)length;
    }
    *s->p++ = (uint8_t)(offset >> 4);
    code = s->p++;
    *code = (uint8_t)(wide ? wider << 5 | (offset >> 12 & 0x1f) : distance & 0x3f);
    for (distance >>= wide ? 0 : 6; distance; distance >>= 8) {
        *s->p++ = (uint8_t)distance;
        *code += 1 << 6;
    }
    if (wider)
        *s->p++ = (uint8_t)(offset >> 17);
    return true;
}

static inline __attribute__((always_inline)) bool squeeze(struct pass *pass, struct sink *s)
{
    const uint32_t *ring = pass->d->ring;
    uint32_t at = pass->first, literals = at,
             last = pass->end - MIN(pass->end - at, 2); /* three words are looked at */

    while (at < last) {
        struct match m = find_match(pass, at);

        if (!m.length) {
            at += 1 + (at - literals) / 64; /* hurry through what does not repeat */
            continue;
        }
        at = extend_back(pass, &m, at, literals);
        if (!put_literals(s, ring + literals, at - literals, pass->kind) ||
            !put_match(s, &m, pass->kind.bias))
            return false;
        if (m.distance)
            pass->ahead = (ptrdiff_t)m.from - at;
        note_match(pass, at, at + m.length);
        at += m.length;
        literals = at;
    }
    return put_literals(s, ring + literals, pass->end - literals, pass->kind);
}

static bool put_header(struct sink *s, const struct image *image, const struct glz_dictionary *d)
{
    unsigned type = LZ_TYPE_RGB16 + image->format - SPICE_BITMAP_FMT_16BIT;
    uint64_t id = d->next - 1;

    if (!sink_reserve(s, GLZ_HEADER_BYTES))
        return false;
    store_be32(s->p, LZ_MAGIC);
    store_be32(s->p + 4, LZ_VERSION);
    s->p[8] = (uint8_t)(type | GLZ_TOP_DOWN);
    store_be32(s->p + 9, image->width);
    store_be32(s->p + 13, image->height);
    store_be32(s->p + 17, (uint32_t)image_row_bytes(image->format, image->width));
    store_be64(s->p + 21, id);
    store_be32(s->p + 29, (uint32_t)(id - d->oldest));
    s->p += GLZ_HEADER_BYTES;
    return true;
}

static inline __attribute__((always_inline)) bool put_pass(struct glz_dictionary *d, struct sink *s,
                                                           struct kind kind)
{
    uint64_t id = d->next - 1;
    const struct glz_source *own = glz_source(d, id), *before = glz_source(d, id - 1);
    struct pass pass = {.d = d,
                        .kind = kind,
                        .first = own->start,
                        .end = own->start + own->pixels,
                        .width = own->width,
                        .id = id,
                        .found = id};

    /* A picture as large as the last is likely that one, changed. */
    if (id > d->oldest && before->width == own->width && before->pixels == own->pixels)
        pass.ahead = (ptrdiff_t)before->start - own->start;
    return squeeze(&pass, s);
}

static bool put_picture(struct glz_dictionary *d, struct sink *s, const struct image *image)
{
    if (!put_header(s, image, d))
        return false;
    if (image->format == SPICE_BITMAP_FMT_16BIT)
        return put_pass(d, s, KIND_RGB16);
    return put_pass(d, s, KIND_COLORS) &&
           (image->format != SPICE_BITMAP_FMT_RGBA || put_pass(d, s, KIND_ALPHA));
}

static int encode(struct glz_dictionary *d, struct writer *w, const struct image *image)
{
    int err = glz_dictionary_add(d, image);
    struct sink s;

    if (err)
        return err;
    sink_begin(&s, w);
    if (!put_picture(d, &s, image)) {
        sink_abort(&s);
        glz_dictionary_drop_newest(d);
        return -ENOSPC;
    }
    sink_commit(&s);
    return 0;
}

int glz_encode(struct glz_encoder *encoder, struct writer *w, const struct image *image,
               uint64_t *id)
{
    int err;

    if (image_check(image) || image->format < SPICE_BITMAP_FMT_16BIT ||
        image->format > SPICE_BITMAP_FMT_RGBA)
        return -EINVAL;
    pthread_mutex_lock(&encoder->lock);
    err = encode(&encoder->dictionary, w, image);
    if (!err)
        *id = encoder->dictionary.next - 1;
    pthread_mutex_unlock(&encoder->lock);
    return err;
}

int glz_withdraw(struct glz_encoder *encoder, uint64_t id)
{
    struct glz_dictionary *d = &encoder->dictionary;
    int err = -EBUSY;

    pthread_mutex_lock(&encoder->lock);
    if (id + 1 == d->next && id >= d->oldest) {
        glz_dictionary_drop_newest(d);
        err = 0;
    }
    pthread_mutex_unlock(&encoder->lock);
    return err;
}

struct glz_encoder *glz_encoder_create(uint32_t window)
{
    struct glz_encoder *encoder = calloc(1, sizeof(*encoder));

    if (!encoder)
        return NULL;
    pthread_mutex_init(&encoder->lock, NULL);
    if (glz_dictionary_init(&encoder->dictionary, window)) {
        glz_encoder_destroy(encoder);
        return NULL;
    }
    return encoder;
}

uint64_t glz_encoder_next(const struct glz_encoder *encoder)
{
    return encoder->dictionary.next;
}

void glz_encoder_go_on(struct glz_encoder *encoder, uint64_t next)
{
    encoder->dictionary.oldest = encoder->dictionary.next = next;
}

void glz_encoder_destroy(struct glz_encoder *encoder)
{
    if (!encoder)
        return;
    glz_dictionary_fini(&encoder->dictionary);
    pthread_mutex_destroy(&encoder->lock);
    free(encoder);
}

void glz_encoder_reset(struct glz_encoder *encoder)
{
    pthread_mutex_lock(&encoder->lock);
    glz_dictionary_reset(&encoder->dictionary);
    pthread_mutex_unlock(&encoder->lock);
}
