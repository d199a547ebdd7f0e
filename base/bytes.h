/*
 * bytes.h - little-endian bytes in and out, with bounds.
 *
 * A reader never passes its end: a read that would returns 0 and sets `bad`, so that a parser checks once, after a
 * group of reads. A writer grows on the heap up to `max` bytes; past it, or without memory, it sets `bad` and drops
 * what is written. Neither may be shared between threads.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/base.h"

#include <string.h>

static inline uint16_t load_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t load_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void store_le16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void store_le32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void store_le64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline uint32_t load_be32(const void *p)
{
    return __builtin_bswap32(load_le32(p));
}

static inline uint64_t load_be64(const void *p)
{
    return __builtin_bswap64(load_le64(p));
}

static inline uint16_t load_be16(const void *p)
{
    return __builtin_bswap16(load_le16(p));
}

static inline void store_be16(void *p, uint16_t v)
{
    store_le16(p, __builtin_bswap16(v));
}

static inline void store_be32(void *p, uint32_t v)
{
    store_le32(p, __builtin_bswap32(v));
}

static inline void store_be64(void *p, uint64_t v)
{
    store_le64(p, __builtin_bswap64(v));
}

/* Nothing but zeroes: each byte is like its neighbour, and the first is one. */
static inline bool is_zero(const void *data, size_t size)
{
    const uint8_t *p = data;

    return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

void reader_init(struct reader *r, const void *data, size_t size);
size_t reader_left(const struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* The next n bytes in place, or NULL (and bad) if there are fewer. */
const uint8_t *reader_bytes(struct reader *r, size_t n);
/* The same, copied; zeroes if there are fewer. */
void reader_copy(struct reader *r, void *to, size_t n);

struct writer {
    uint8_t *data; /* owned; free with writer_fini */
    size_t size, capacity, max;
    bool bad;
};

void writer_init(struct writer *w, size_t max);
void writer_fini(struct writer *w);
/* Forget the content, keep the memory. */
void writer_reset(struct writer *w);
/* Forget the content; more memory than `keep` bytes is given back. */
void writer_trim(struct writer *w, size_t keep);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *data, size_t n);
/* Room for n more bytes, content undefined, or NULL (and bad). Valid until the next write. */
uint8_t *writer_extend(struct writer *w, size_t n);

#endif
