#include "base/bytes.h"

#include <stdlib.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the load/store helpers assume a little-endian host");

void reader_init(struct reader *r, const void *data, size_t size)
{
    r->p = data;
    r->end = size ? r->p + size : r->p; /* nothing may be nowhere */
    r->bad = false;
}

size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->p);
}

const uint8_t *reader_bytes(struct reader *r, size_t n)
{
    const uint8_t *p = r->p;

    if (r->bad || n > reader_left(r)) {
        r->bad = true;
        return NULL;
    }
    r->p += n;
    return p;
}

void reader_copy(struct reader *r, void *to, size_t n)
{
    const uint8_t *p = reader_bytes(r, n);

    if (p)
        memcpy(to, p, n);
    else
        memset(to, 0, n);
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 1);
    return p ? *p : 0;
}

uint16_t reader_u16(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 2);
    return p ? load_le16(p) : 0;
}

uint32_t reader_u32(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 4);
    return p ? load_le32(p) : 0;
}

uint64_t reader_u64(struct reader *r)
{
    const uint8_t *p = reader_bytes(r, 8);
    return p ? load_le64(p) : 0;
}

void writer_init(struct writer *w, size_t max)
{
    *w = (struct writer){.max = max};
}

void writer_fini(struct writer *w)
{
    free(w->data);
    *w = (struct writer){0};
}

void writer_reset(struct writer *w)
{
    w->size = 0;
    w->bad = false;
}

void writer_trim(struct writer *w, size_t keep)
{
    size_t max = w->max;

    writer_reset(w);
    if (w->capacity <= keep)
        return;
    writer_fini(w);
    writer_init(w, max);
}

static bool writer_grow(struct writer *w, size_t needed)
{
    size_t capacity = MAX(w->capacity, 256);
    uint8_t *data;

    while (capacity < needed)
        capacity *= 2;
    capacity = MIN(capacity, w->max);
    data = realloc(w->data, capacity);
    if (!data)
        return false;
    w->data = data;
    w->capacity = capacity;
    return true;
}

uint8_t *writer_extend(struct writer *w, size_t n)
{
    uint8_t *p;

    if (w->bad || n > w->max - w->size ||
        ((!w->data || w->size + n > w->capacity) && !writer_grow(w, w->size + n))) {
        w->bad = true;
        return NULL;
    }
    p = w->data + w->size;
    w->size += n;
    return p;
}

void writer_bytes(struct writer *w, const void *data, size_t n)
{
    uint8_t *p = writer_extend(w, n);

    if (p && n)
        memcpy(p, data, n);
}

void writer_u8(struct writer *w, uint8_t v)
{
    writer_bytes(w, &v, sizeof(v));
}

void writer_u16(struct writer *w, uint16_t v)
{
    writer_bytes(w, &v, sizeof(v));
}

void writer_u32(struct writer *w, uint32_t v)
{
    writer_bytes(w, &v, sizeof(v));
}

void writer_u64(struct writer *w, uint64_t v)
{
    writer_bytes(w, &v, sizeof(v));
}
