#include "spice/codec/glz.h"

#include "base/bytes.h"
#include "spice/codec/glz_window.h"
#include "spice/codec/glz_wire.h"

#include <errno.h>

#define ALPHA 0xff000000u

struct glz_header {
    uint8_t type;
    bool top_down;
    uint32_t width, height;
    uint64_t id, oldest;
};

static int read_header(struct reader *r, struct glz_header *h)
{
    const uint8_t *p = reader_bytes(r, GLZ_HEADER_BYTES);
    struct image shape;

    if (!p || load_be32(p) != LZ_MAGIC || load_be32(p + 4) != LZ_VERSION)
        return -EBADMSG;
    *h = (struct glz_header){.type = p[8] & 0x0f,
                             .top_down = p[8] & GLZ_TOP_DOWN,
                             .width = load_be32(p + 9),
                             .height = load_be32(p + 13),
                             .id = load_be64(p + 21)};
    if (h->type < LZ_TYPE_RGB16 || h->type > LZ_TYPE_RGBA || h->id < load_be32(p + 29))
        return -EBADMSG;
    h->oldest = h->id - load_be32(p + 29);
    shape = (struct image){.width = h->width,
                           .height = h->height,
                           .stride = UINT32_MAX,
                           .format = SPICE_BITMAP_FMT_RGBA};
    return image_check(&shape) ? -EBADMSG : 0;
}

static uint8_t format_of(const struct glz_header *h)
{
    return h->type == LZ_TYPE_RGBA ? SPICE_BITMAP_FMT_RGBA : SPICE_BITMAP_FMT_32BIT;
}

int glz_peek(const void *data, size_t size, struct image *shape)
{
    struct glz_header h;
    struct reader r;
    int err;

    reader_init(&r, data, size);
    err = read_header(&r, &h);
    if (!err) {
        shape->width = h.width;
        shape->height = h.height;
        shape->format = format_of(&h);
    }
    return err;
}

struct match {
    size_t length;
    uint32_t offset, distance; /* distance in pictures */
};

/* A match after its first byte. False if the stream ends or the length exceeds `max`. */
static inline __attribute__((always_inline)) bool read_match(struct reader *r, uint32_t ctrl, size_t max, struct match *m)
{
    bool wide = ctrl & 0x10, wider;
    const uint8_t *p = r->p;
    uint32_t code;

    *m = (struct match){.length = ctrl >> 5, .offset = ctrl & 0x0f};
    if (m->length == LZ_LONG_LENGTH) {
        do {
            if (p == r->end || m->length > max)
                return false;
            code = *p++;
            m->length += code;
        } while (code == 255);
    }
    if (r->end - p < 2)
        return false;
    m->offset |= (uint32_t)*p++ << 4;
    code = *p++;
    wider = wide && code & 0x20;
    if ((size_t)(r->end - p) < (code >> 6) + wider)
        return false;
    if (wide)
        m->offset |= (code & 0x1f) << 12;
    else
        m->distance = code & 0x3f;
    for (unsigned i = 0; i < code >> 6; i++)
        m->distance += (uint32_t)*p++ << (8 * i + (wide ? 0 : 6));
    if (wider)
        m->offset |= (uint32_t)*p++ << 17;
    r->p = p;
    return true;
}

/* What the decoder of one picture works on. */
struct work {
    const struct glz_window *window;
    struct glz_picture *to;
    const struct glz_picture *last; /* that was referred to */
    struct reader r;
};

/* The picture with this id. -EAGAIN: it has yet to come. */
static int find_picture(struct work *work, uint64_t id)
{
    const struct glz_window *window = work->window;

    work->last = glz_window_find(window, id);
    if (work->last)
        return 0;
    return !window->begun || id >= window->next ? -EAGAIN : -EBADMSG;
}

/* Find the pixels that a match at `at` copies. */
static inline int find_source(struct work *work, const struct match *m, uint32_t at,
                              const uint8_t **from)
{
    uint64_t id = work->to->id - m->distance;

    if (m->distance ? m->distance > work->to->id : m->offset >= at)
        return -EBADMSG;
    if (!m->distance) {
        *from = work->to->data + 4 * (size_t)(at - 1 - m->offset);
        return 0;
    }
    if (!work->last || work->last->id != id) {
        int err = find_picture(work, id);
        if (err)
            return err;
    }
    if (m->offset > work->last->pixels || m->length > work->last->pixels - m->offset)
        return -EBADMSG;
    *from = work->last->data + 4 * (size_t)m->offset;
    return 0;
}

/*
 * Copying works on so many pixels at once: up to as many after a match's end may be spoilt, which come later. `back`: to
 * where they come from, in pixels of the same picture.
 */
static inline void copy_pixels(uint8_t *to, const uint8_t *from, size_t n, uint32_t back)
{
    const uint8_t *end = to + 4 * n;

    if (back == 1) {
        uint32_t px = load_le32(from), several[GLZ_SLACK] = {px, px, px, px};

        for (; to < end; to += sizeof(several))
            memcpy(to, several, sizeof(several));
    } else if (back >= GLZ_SLACK) {
        for (; to < end; to += 4 * GLZ_SLACK, from += 4 * GLZ_SLACK)
            memcpy(to, from, 4 * GLZ_SLACK);
    } else {
        for (; to < end; to += 4, from += 4)
            store_le32(to, load_le32(from));
    }
}

/* The fourth bytes. Of whole words, since a byte that is read just after it was written makes the CPU wait. */
static inline void set_alpha(uint8_t *to, const uint32_t from[GLZ_SLACK])
{
    uint32_t words[GLZ_SLACK];

    memcpy(words, to, sizeof(words));
    for (size_t i = 0; i < GLZ_SLACK; i++)
        words[i] = (words[i] & ~ALPHA) | (from[i] & ALPHA);
    memcpy(to, words, sizeof(words));
}

static inline void copy_alpha(uint8_t *to, const uint8_t *from, size_t n, uint32_t back)
{
    const uint8_t *end = to + 4 * n;
    uint32_t px = load_le32(from), several[GLZ_SLACK] = {px, px, px, px};

    if (back == 1) {
        for (; to < end; to += sizeof(several))
            set_alpha(to, several);
    } else if (back >= GLZ_SLACK) {
        for (; to < end; to += sizeof(several), from += sizeof(several)) {
            memcpy(several, from, sizeof(several));
            set_alpha(to, several);
        }
    } else {
        for (; to < end; to += 4, from += 4)
            to[3] = from[3];
    }
}

static_assert(GLZ_SLACK == 4, "several pixels are written as four");

static inline __attribute__((always_inline)) bool copy_literals(struct reader *r, uint8_t *to, size_t n, unsigned type)
{
    size_t each = type == LZ_TYPE_XXXA ? 1 : type == LZ_TYPE_RGB16 ? 2 : 3;
    const uint8_t *from = r->p;

    if ((size_t)(r->end - r->p) < n * each)
        return false;
    r->p += n * each;
    if (type == LZ_TYPE_RGB16) {
        uint8_t words[2 * LZ_MAX_LITERALS];

        for (size_t i = 0; i < n; i++)
            store_le16(words + 2 * i, load_be16(from + 2 * i));
        image_row_to_rgb32(to, words, SPICE_BITMAP_FMT_16BIT, (uint32_t)n, NULL);
        return true;
    }
    for (; n; n--, to += 4, from += each) {
        if (type == LZ_TYPE_XXXA)
            to[3] = *from;
        else
            store_le32(to, from[0] | from[1] << 8 | from[2] << 16);
    }
    return true;
}

/* One pass: the colours, or the alpha (type XXXA). */
static inline __attribute__((always_inline)) int expand(struct work *work, unsigned type)
{
    unsigned bias = type == LZ_TYPE_XXXA ? 2 : type == LZ_TYPE_RGB16 ? 1 : 0;
    uint32_t at = 0, count = work->to->pixels;
    struct reader r = work->r; /* a copy, which can stay in registers */

    while (at < count) {
        uint8_t *to = work->to->data + 4 * (size_t)at;
        const uint8_t *from;
        struct match m;
        uint32_t ctrl, back;
        int err;

        if (r.p == r.end)
            return -EBADMSG;
        ctrl = *r.p++;
        if (ctrl < LZ_MAX_LITERALS) {
            m.length = ctrl + 1;
            if (m.length > count - at || !copy_literals(&r, to, m.length, type))
                return -EBADMSG;
        } else {
            if (!read_match(&r, ctrl, count - at, &m))
                return -EBADMSG;
            m.length += bias;
            if (m.length > count - at)
                return -EBADMSG;
            err = find_source(work, &m, at, &from);
            if (err)
                return err;
            back = m.distance ? UINT32_MAX : m.offset + 1;
            if (type == LZ_TYPE_XXXA)
                copy_alpha(to, from, m.length, back);
            else
                copy_pixels(to, from, m.length, back);
        }
        at += (uint32_t)m.length;
    }
    work->r = r;
    return 0;
}

static int expand_all(struct work *work, const struct glz_header *h)
{
    int err;

    if (h->type == LZ_TYPE_RGB16)
        return expand(work, LZ_TYPE_RGB16);
    err = expand(work, LZ_TYPE_RGB32);
    return err || h->type != LZ_TYPE_RGBA ? err : expand(work, LZ_TYPE_XXXA);
}

static void store_rows(const struct image *image, const uint8_t *pixels, bool top_down)
{
    size_t row = 4 * (size_t)image->width;

    if (top_down)
        image_copy_rows(image, pixels, (ptrdiff_t)row);
    else
        image_copy_rows(image, pixels + row * (image->height - 1), -(ptrdiff_t)row);
}

int glz_decode(struct glz_window *window, const void *data, size_t size, const struct image *image)
{
    struct work work = {.window = window};
    struct glz_header h;
    int err;

    if (image_check(image))
        return -EINVAL;
    reader_init(&work.r, data, size);
    if (read_header(&work.r, &h) || h.width != image->width || h.height != image->height)
        return -EBADMSG;
    if (image->format != format_of(&h))
        return -EINVAL;
    if (glz_window_find(window, h.id))
        return -EBADMSG;
    /* What was in this memory cannot come to light: a match copies what is decoded already, and both passes end. */
    work.to = glz_window_picture(window, h.width * h.height);
    if (!work.to)
        return -ENOMEM;
    work.to->id = h.id;
    work.to->oldest = h.oldest;
    err = expand_all(&work, &h);
    if (err) {
        glz_window_discard(window, work.to);
        return err;
    }
    store_rows(image, work.to->data, h.top_down);
    glz_window_add(window, work.to);
    return 0;
}

static int inflate_all(struct glz_window *window, const void *data, size_t size, size_t glz_size)
{
    z_stream *z = &window->zlib;

    if (!window->zlib_ready && inflateInit(z) != Z_OK)
        return -ENOMEM;
    window->zlib_ready = true;
    inflateReset(z);
    z->next_in = (Bytef *)(uintptr_t)data;
    z->avail_in = (uInt)size;
    z->next_out = window->inflated.data;
    z->avail_out = (uInt)glz_size;
    return inflate(z, Z_FINISH) == Z_STREAM_END && !z->avail_out ? 0 : -EBADMSG;
}

int glz_decode_zlib(struct glz_window *window, const void *data, size_t size, size_t glz_size,
                    const struct image *image)
{
    int err;

    if (image_check(image))
        return -EINVAL;
    /* No stream is larger than its pixels as literals with a control byte each. */
    if (size > INT32_MAX || glz_size > GLZ_HEADER_BYTES + 8 * (size_t)image->width * image->height)
        return -EBADMSG;
    if (!scratch_get(&window->inflated, glz_size))
        return -ENOMEM;
    err = inflate_all(window, data, size, glz_size);
    return err ? err : glz_decode(window, window->inflated.data, glz_size, image);
}
